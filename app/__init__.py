"""The Kizu service: everything a request touches. It never imports torch or the workers."""
