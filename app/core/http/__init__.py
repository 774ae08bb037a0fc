"""What HTTP needs and no noun owns: transactions, problems, limits, entity tags, idempotency."""
