"""The main job played end to end through the public REST API, and its report."""
