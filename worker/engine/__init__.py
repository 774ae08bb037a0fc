"""Between tasks and learning: the device, photos, models and tokens that stay at hand."""
