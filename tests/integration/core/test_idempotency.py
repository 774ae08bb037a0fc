"""A repeated create is answered like the first, and happens once."""

from datetime import timedelta

import pytest
from sqlalchemy import select, text, update

from app.core import idempotency
from app.core.clock import now
from app.core.db import make_sessions, transaction
from app.core.idempotency import IdempotencyKey
from app.identity import service
from app.identity.models import Role

KEN = {"email": "ken@example.com", "role": "viewer"}
MIA = {"email": "mia@example.com", "role": "viewer"}


def add(client, body, key: str | None = "one"):
    headers = {"idempotency-key": key} if key else {}
    return client.post("/api/v1/users", json=body, headers=headers)


def people(client) -> list[str]:
    return [user["email"] for user in client.get("/api/v1/users").json()["items"]][1:]


def test_a_repeated_request_gets_the_first_answer(client):
    first, again = add(client, KEN), add(client, KEN)
    assert first.status_code == again.status_code == 201
    assert again.json() == first.json()
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert people(client) == ["ken@example.com"]


def test_the_answer_holds_although_the_world_went_on(client):
    first = add(client, KEN).json()
    client.patch(f"/api/v1/users/{first['id']}", json={"role": "admin"}, headers={"if-match": "*"})
    assert add(client, KEN).json() == first


def test_another_body_under_the_same_key_is_refused(client):
    add(client, KEN)
    refused = add(client, MIA)
    assert refused.status_code == 422
    assert refused.json()["type"] == "/problems/invalid"
    assert "another request body" in refused.json()["detail"]
    assert people(client) == ["ken@example.com"]


def test_another_key_is_another_request(client):
    add(client, KEN)
    assert add(client, MIA, "two").status_code == 201
    assert add(client, KEN, "three").status_code == 409
    assert add(client, KEN, None).status_code == 409


@pytest.mark.parametrize("key", ["x" * 201])
def test_a_key_has_its_limits(client, key):
    assert add(client, KEN, key).status_code == 422


def test_while_the_first_is_at_work_the_second_is_told_so(client, engine, session):
    admin = service.list_users(session)[0]
    with make_sessions(engine)() as first:
        idempotency.claim(
            first, user_id=admin.id, route="POST /api/v1/users", key="one", request_hash="…"
        )
        refused = add(client, KEN)
        assert refused.status_code == 409
        assert "still in progress" in refused.json()["detail"]
    assert add(client, KEN).status_code == 201


def test_a_failure_is_not_kept(client, session):
    assert add(client, KEN | {"email": "no address"}).status_code == 422
    assert session.scalars(select(IdempotencyKey)).all() == []
    assert add(client, KEN).status_code == 201


def test_the_answer_is_stored_in_the_same_transaction_as_the_effect(client, session):
    add(client, KEN)
    stored = session.scalars(select(IdempotencyKey)).one()
    assert (stored.key, stored.route, stored.status) == ("one", "POST /api/v1/users", 201)
    assert b"ken@example.com" in stored.body
    writers = text(
        "SELECT xmin::text FROM idempotency_key UNION ALL "
        "(SELECT xmin::text FROM audit_event ORDER BY id DESC LIMIT 1)"
    )
    answer, effect = session.scalars(writers)
    assert answer == effect


def test_keys_belong_to_a_person(client, engine):
    with transaction(make_sessions(engine)) as session:
        boss = service.create_user(session, email="boss@example.com", role=Role.ADMIN)
        _, secret = service.create_token(session, user_id=boss.id, name="x")
    assert add(client, KEN).status_code == 201
    client.headers["authorization"] = f"Bearer {secret}"
    assert add(client, MIA).status_code == 201


def test_after_a_day_a_key_means_nothing(client, engine, session):
    add(client, KEN)
    with transaction(make_sessions(engine)) as other:
        other.execute(update(IdempotencyKey).values(expires_at=now() - timedelta(seconds=1)))
    assert add(client, MIA).status_code == 201
    assert people(client) == ["ken@example.com", "mia@example.com"]


def test_expired_answers_are_purged(client, session):
    add(client, KEN)
    add(client, MIA, "two")
    session.execute(
        update(IdempotencyKey).where(IdempotencyKey.key == "one").values(expires_at=now())
    )
    idempotency.purge_expired(session)
    assert session.scalars(select(IdempotencyKey.key)).all() == ["two"]
