"""How brokers are named to Celery."""

import pytest

from app.core.embedded import redis_url
from app.core.queue import celery_broker_url


@pytest.mark.parametrize(
    ("ours", "celerys"),
    [
        ("redis://:secret@valkey:6379/3", "redis://:secret@valkey:6379/3"),
        ("unix:///run/valkey.sock", "redis+socket:///run/valkey.sock"),
        ("unix:///run/valkey.sock?db=3", "redis+socket:///run/valkey.sock?virtual_host=3"),
    ],
)
def test_celery_uses_the_database_that_redis_py_uses(ours, celerys):
    assert celery_broker_url(ours) == celerys
    assert redis_url(celerys) == ours
