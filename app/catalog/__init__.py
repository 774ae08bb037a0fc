"""The listing that joins nouns: images filtered by label, split, pseudo-label and metadata."""
