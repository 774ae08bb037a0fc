"""The chain of hashes: whole as it was written, broken by whatever is changed afterwards."""

import hashlib
import json
from decimal import Decimal

import pytest

from app.core import audit
from app.core.audit import AuditEvent, Flaw, chained_hash, check_chain
from app.core.db import transaction

CHAIN = "/api/v1/audit-chain"
VALUES = {
    "rate": 0.1, "small": 1e-7, "large": 1_000_000.0, "whole": 1.0, "many": 2**40, "none": None,
    "yes": True, "words": ["傷", "scratch"], "names": {"ja": "へこみ", "en": "dent"},
    "lines": "a\n\"b\"",
}  # fmt: skip


@pytest.fixture
def trail(record) -> list[int]:
    return [record(before={"number": n}, after={**VALUES, "number": n}) for n in range(4)]


def test_a_trail_is_whole_as_the_service_wrote_it(client, trail, session):
    found = client.get(CHAIN).json()
    assert (found["is_intact"], found["flaw"], found["flawed_id"]) == (True, None, None)
    everything = client.get("/api/v1/audit-events", params={"limit": 500}).json()["items"]
    assert found["events"] == len(everything)
    assert found["newest_hash"] == everything[0]["hash"]


def test_settings_of_projects_survive_the_database(client, session):
    project = {"slug": "boards", "name": "基板", "hourly_cost": "1234.50", "gate_margin": 1e-5}
    assert client.post("/api/v1/projects", json=project).status_code == 201
    edit = {"hourly_cost": str(Decimal("99999999.99")), "control_rate": 1e-9, "audit_rate": 1}
    answer = client.patch("/api/v1/projects/boards", json=edit, headers={"if-match": "*"})
    assert answer.status_code == 200
    assert client.get(CHAIN).json()["is_intact"]


@pytest.mark.parametrize(
    "change",
    [
        "action = 'label.created'",
        "actor_id = gen_random_uuid()",
        "object_id = 'y'",
        "project_id = gen_random_uuid()",
        "before = '{\"number\": 7}'",
        "after = null",
        "at = at - interval '1 hour'",
    ],
)
def test_an_edited_event_is_found(client, trail, tamper, change):
    sound = client.get(CHAIN).json()["events"]
    tamper(f"UPDATE audit_event SET {change} WHERE id = {trail[2]}")
    found = client.get(CHAIN).json()
    assert (found["is_intact"], found["flaw"]) == (False, Flaw.EDITED)
    assert (found["flawed_id"], found["events"]) == (trail[2], sound - 2)


def test_events_from_before_hashes_covered_the_project_are_sound(client, trail, tamper, sessions):
    with sessions() as session:
        event = session.get_one(AuditEvent, trail[-1])
        body = [event.previous_hash, event.at.isoformat(), "None", event.action]
        body += [event.object_type, event.object_id, event.before, event.after]
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    tamper(f"UPDATE audit_event SET hash = '{digest}' WHERE id = {trail[-1]}")
    assert client.get(CHAIN).json()["is_intact"]
    tamper(f"UPDATE audit_event SET action = 'label.created' WHERE id = {trail[-1]}")
    assert client.get(CHAIN).json()["flawed_id"] == trail[-1]


def test_a_removed_event_is_found_at_the_next_one(client, trail, tamper):
    tamper(f"DELETE FROM audit_event WHERE id = {trail[1]}")
    found = client.get(CHAIN).json()
    assert (found["flaw"], found["flawed_id"]) == (Flaw.UNLINKED, trail[2])


def test_so_is_the_first_one(client, trail, tamper):
    tamper("DELETE FROM audit_event WHERE id = (SELECT min(id) FROM audit_event)")
    found = client.get(CHAIN).json()
    assert (found["flaw"], found["events"]) == (Flaw.UNLINKED, 0)


def test_a_rewritten_event_breaks_its_successor(client, trail, tamper, sessions):
    """Somebody who knows how the hash is made must write every later event again too."""
    with sessions() as session:
        event = session.get_one(AuditEvent, trail[1])
        event.after = {"number": 99}
        forged = chained_hash(event)
    change = f"after = '{{\"number\": 99}}', hash = '{forged}'"
    tamper(f"UPDATE audit_event SET {change} WHERE id = {trail[1]}")
    found = client.get(CHAIN).json()
    assert (found["flaw"], found["flawed_id"]) == (Flaw.UNLINKED, trail[2])


def test_an_end_that_is_cut_off_shows_in_the_hash_that_was_noted(client, trail, tamper):
    noted = client.get(CHAIN).json()["newest_hash"]
    tamper(f"DELETE FROM audit_event WHERE id = {trail[-1]}")
    found = client.get(CHAIN).json()
    assert found["is_intact"]
    assert found["newest_hash"] != noted


def test_an_empty_trail_is_whole(session):
    assert check_chain(session).events == 0


def test_a_long_trail_is_read_in_parts(session, sessions):
    with transaction(sessions) as writing:
        for number in range(audit.CHECKED_AT_ONCE + 50):
            audit.record(writing, "label.edited", "label", str(number))
    check = check_chain(session)
    assert check.flaw is None
    assert check.events > audit.CHECKED_AT_ONCE
