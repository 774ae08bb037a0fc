"""Nobody overwrites what somebody else wrote a moment ago."""

import pytest

from app.core.errors import PreconditionRequired, Stale
from app.core.http.deps import check_if_match, etag


@pytest.fixture
def person(client) -> str:
    body = {"email": "ken@example.com", "role": "viewer"}
    return f"/api/v1/users/{client.post('/api/v1/users', json=body).json()['id']}"


def test_an_edit_must_say_what_it_saw(client, person):
    answer = client.patch(person, json={"role": "engineer"})
    assert answer.status_code == 428
    assert answer.json()["type"] == "/problems/precondition-required"


def test_an_edit_of_an_old_version_is_told_the_current_one(client, person):
    old = client.get(person).headers["etag"]
    new = client.patch(person, json={"role": "engineer"}, headers={"if-match": old}).headers["etag"]
    assert new != old
    answer = client.patch(person, json={"role": "reviewer"}, headers={"if-match": old})
    assert answer.status_code == 412
    assert answer.json()["type"] == "/problems/stale"
    assert etag(answer.json()["current"]) == new == client.get(person).headers["etag"]
    assert client.get(person).json()["role"] == "engineer"


@pytest.mark.parametrize("sent", ['"7"', "*"])
def test_what_is_current_may_be_edited(sent):
    check_if_match(sent, 7)


@pytest.mark.parametrize("sent", ['"6"', "7", 'W/"7"', "", '"7", "8"x'])
def test_what_is_not_may_not(sent):
    with pytest.raises(Stale):
        check_if_match(sent, 7)


def test_silence_is_not_consent():
    with pytest.raises(PreconditionRequired):
        check_if_match(None, 7)
