"""Photos: upload, inspection of what arrives, verdicts, thumbnails, evaluation-set membership."""
