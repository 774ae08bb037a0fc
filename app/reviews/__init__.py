"""People deciding pseudo-labels: queue order, leases, decisions, undo, control arm, audit."""
