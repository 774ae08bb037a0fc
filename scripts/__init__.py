"""What `make` runs around Kizu: checks of the machine, tools for tests. Kizu never imports it."""
