"""Rooms without product words: configuration, database, storage, queue, errors, security."""
