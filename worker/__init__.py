"""Work that takes longer than a request: Celery tasks and the learning behind them."""
