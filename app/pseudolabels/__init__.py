"""What a model version says about images: predictions, and pseudo-labels people decide on."""
