"""Celery tasks: thin; load through the app's services, do the work, store through them."""
