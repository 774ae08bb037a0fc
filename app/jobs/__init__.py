"""Work that outlasts a request: the job row, its lease and fencing token, chunks and log."""
