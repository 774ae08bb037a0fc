"""Learning: pure PyTorch, usable in a notebook; no database, broker, settings or web."""
