"""Dataset snapshots, model versions, the promotion gate and rollback."""
