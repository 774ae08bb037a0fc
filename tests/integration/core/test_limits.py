"""A body is stopped at its limit, whatever was announced."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from app.main import create_app

LIMIT = 2048


@pytest.fixture
def small(settings, admin_token) -> Iterator[TestClient]:
    """An API that takes little."""
    limits = {"request_max_bytes": LIMIT, "upload_max_bytes": 4 * LIMIT}
    with TestClient(
        create_app(settings.model_copy(update=limits)), raise_server_exceptions=False
    ) as client:
        client.headers["authorization"] = f"Bearer {admin_token}"
        yield client


def body(size: int) -> bytes:
    start = b'{"email": "ken@example.com", "role": "viewer"'
    return start + b" " * (size - len(start) - 1) + b"}"


def post(client: TestClient, content: bytes | Iterator[bytes], **headers: str):
    headers = {"content-type": "application/json", **headers}
    return client.post("/api/v1/users", content=content, headers=headers)


def assert_too_large(answer) -> None:
    assert answer.status_code == 413
    assert answer.json()["type"] == "/problems/too-large"
    assert f"{LIMIT:,}" in answer.json()["detail"]


def test_up_to_the_limit_it_is_taken(small):
    assert post(small, body(LIMIT)).status_code == 201


def test_one_byte_more_is_not(small):
    assert_too_large(post(small, body(LIMIT + 1)))


def test_nor_one_that_announces_no_length(small):
    assert_too_large(post(small, iter([body(LIMIT), b" "])))


def test_nor_one_that_announces_more_than_it_sends(small):
    assert_too_large(post(small, body(100), **{"content-length": str(10**12)}))


def test_a_refused_body_has_no_effect(small):
    post(small, body(LIMIT + 1))
    assert len(small.get("/api/v1/users").json()["items"]) == 1
