"""What people state about images: append-only statements and the current truth they imply."""
