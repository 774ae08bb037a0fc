"""Looking for garbage leaves out what a service is made of."""

import gc

from fastapi.testclient import TestClient

from app.main import create_app


def test_what_starting_made_is_left_out_until_the_service_stops(settings):
    with TestClient(create_app(settings)):
        assert gc.get_freeze_count() > 10_000
    assert gc.get_freeze_count() == 0
