"""Speed and memory, each as a ratio against the bare operation measured in the same run."""
