"""API tokens: what they open, how far, how long, and how they are taken back."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from app.core.audit import AuditEvent
from app.core.clock import now
from app.core.db import transaction
from app.core.errors import Conflict, Invalid, NotFound
from app.core.security import digest_token
from app.identity import service
from app.identity.models import ApiToken, Role
from app.identity.permissions import Permission


@pytest.fixture
def new_token(sessions):
    """A function that makes a token and returns the header that carries it."""

    def make(user, *scopes: Permission, **options) -> dict[str, str]:
        with transaction(sessions) as session:
            _, secret = service.create_token(
                session, user_id=user.id, name="tests", scopes=scopes or None, **options
            )
        return {"authorization": f"Bearer {secret}"}

    return make


def permissions(browser, headers) -> list[str]:
    return browser.get("/api/v1/me", headers=headers).json()["permissions"]


class TestUse:
    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Token"])
    def test_a_token_says_whose_it_is(self, anonymous, add_user, new_token, scheme):
        secret = new_token(add_user())["authorization"].split()[1]
        answer = anonymous.get("/api/v1/me", headers={"authorization": f"{scheme} {secret}"})
        assert answer.json()["email"] == "hana@example.com"

    def test_an_unknown_token_opens_nothing(self, anonymous):
        headers = {"authorization": "Bearer kizu_made-up"}
        assert anonymous.get("/api/v1/me", headers=headers).status_code == 401

    def test_the_database_does_not_know_the_secret(self, add_user, new_token, session):
        secret = new_token(add_user())["authorization"].split()[1]
        stored = session.scalars(select(ApiToken)).one()
        assert stored.token_hash == digest_token(secret)
        assert all(secret not in str(event.after) for event in session.scalars(select(AuditEvent)))

    def test_its_use_is_noted_at_most_once_a_minute(self, anonymous, add_user, new_token, session):
        headers = new_token(add_user())

        def used_at():
            anonymous.get("/api/v1/me", headers=headers)
            session.rollback()
            return session.scalar(select(ApiToken.last_used_at))

        first = used_at()
        assert now() - first < timedelta(seconds=30)
        assert used_at() == first
        session.execute(update(ApiToken).values(last_used_at=first - timedelta(minutes=2)))
        session.commit()
        assert used_at() > first

    def test_a_long_request_does_not_hold_up_others_with_the_same_token(
        self, anonymous, add_user, new_token, sessions
    ):
        headers = new_token(add_user())
        with sessions() as upload:
            service.authenticate_token(upload, headers["authorization"].split()[1])
            assert anonymous.get("/api/v1/me", headers=headers).status_code == 200


class TestReach:
    @pytest.mark.parametrize(
        ("role", "scopes", "expected"),
        [
            (Role.VIEWER, [], ["read"]),
            (Role.ENGINEER, [], ["manage", "read", "review"]),
            (Role.ADMIN, ["read"], ["read"]),
            (Role.VIEWER, ["read", "administer"], ["read"]),
            (Role.ADMIN, [], ["administer", "manage", "read", "review"]),
        ],
    )
    def test_scopes_narrow_the_role_and_never_widen_it(
        self, anonymous, add_user, new_token, role, scopes, expected
    ):
        headers = new_token(add_user(role=role), *map(Permission, scopes))
        assert permissions(anonymous, headers) == expected

    def test_a_lower_role_narrows_tokens_that_are_out(
        self, anonymous, add_user, new_token, sessions
    ):
        add_user("boss", Role.ADMIN)
        user = add_user(role=Role.ADMIN)
        headers = new_token(user)
        with transaction(sessions) as session:
            service.edit_user(
                session, service.get_user(session, user.id), actor_id=None, role=Role.VIEWER
            )
        assert permissions(anonymous, headers) == ["read"]

    def test_a_higher_role_does_not_widen_them(self, anonymous, add_user, new_token, sessions):
        user = add_user(role=Role.VIEWER)
        headers = new_token(user)
        with transaction(sessions) as session:
            service.edit_user(
                session, service.get_user(session, user.id), actor_id=None, role=Role.ADMIN
            )
        assert permissions(anonymous, headers) == ["read"]


class TestOverTheApi:
    @pytest.fixture
    def browser(self, add_user, sign_in):
        add_user(role=Role.ENGINEER)
        return sign_in("hana")

    def test_the_secret_is_shown_once(self, browser, anonymous):
        made = browser.post("/api/v1/tokens", json={"name": "line 3", "scopes": ["read"]})
        assert made.status_code == 201
        secret = made.json()["token"]
        assert permissions(anonymous, {"authorization": f"Bearer {secret}"}) == ["read"]
        listed = browser.get("/api/v1/tokens").json()["items"]
        assert [(t["name"], t["scopes"]) for t in listed] == [("line 3", ["read"])]
        assert "token" not in listed[0]

    def test_a_revoked_token_opens_nothing_and_stays_listed(self, browser, anonymous):
        made = browser.post("/api/v1/tokens", json={"name": "lost"}).json()
        headers = {"authorization": f"Bearer {made['token']}"}
        for _ in range(2):
            assert browser.delete(f"/api/v1/tokens/{made['id']}").status_code == 204
        answer = anonymous.get("/api/v1/me", headers=headers)
        assert answer.status_code == 401
        assert answer.json()["detail"] == "This API token is unknown, expired or revoked."
        assert browser.get("/api/v1/tokens").json()["items"][0]["revoked_at"] is not None

    def test_it_expires(self, browser, anonymous, sessions):
        later = (now() + timedelta(hours=1)).isoformat()
        made = browser.post("/api/v1/tokens", json={"name": "trial", "expires_at": later}).json()
        headers = {"authorization": f"Bearer {made['token']}"}
        assert anonymous.get("/api/v1/me", headers=headers).status_code == 200
        with transaction(sessions) as session:
            session.execute(update(ApiToken).values(expires_at=now()))
        assert anonymous.get("/api/v1/me", headers=headers).status_code == 401

    @pytest.mark.parametrize(
        "body",
        [
            {"name": ""},
            {"name": "x", "scopes": []},
            {"name": "x", "scopes": ["rule"]},
            {"name": "x", "expires_at": "2020-01-01T00:00:00Z"},
            {"name": "x", "admin": True},
        ],
    )
    def test_what_makes_no_sense_is_refused(self, browser, body):
        assert browser.post("/api/v1/tokens", json=body).status_code == 422

    def test_nobody_grants_what_they_do_not_have(self, browser):
        answer = browser.post("/api/v1/tokens", json={"name": "x", "scopes": ["administer"]})
        assert answer.status_code == 403

    def test_a_token_makes_revokes_and_edits_nothing_of_its_owners(self, browser, anonymous):
        later = (now() + timedelta(hours=1)).isoformat()
        made = browser.post("/api/v1/tokens", json={"name": "trial", "expires_at": later}).json()
        headers = {"authorization": f"Bearer {made['token']}", "if-match": "*"}
        for method, path, body in (
            ("POST", "tokens", {"name": "for ever"}),
            ("DELETE", f"tokens/{made['id']}", None),
            ("PATCH", "me", {"display_name": "Somebody else"}),
        ):
            answer = anonymous.request(method, f"/api/v1/{path}", json=body, headers=headers)
            assert (answer.status_code, answer.json()["type"]) == (403, "/problems/not-permitted")
        assert anonymous.get("/api/v1/me", headers=headers).json()["display_name"] == "hana"
        assert len(browser.get("/api/v1/tokens").json()["items"]) == 1

    def test_other_peoples_tokens_are_not_there(self, browser, add_user, sign_in):
        made = browser.post("/api/v1/tokens", json={"name": "mine"}).json()
        add_user("boss", Role.ADMIN)
        other = sign_in("boss")
        assert other.get("/api/v1/tokens").json()["items"] == []
        assert other.delete(f"/api/v1/tokens/{made['id']}").status_code == 404

    def test_a_repeated_key_does_not_make_the_database_keep_the_secret(self, browser, session):
        headers = {"idempotency-key": "once"}
        first = browser.post("/api/v1/tokens", json={"name": "x"}, headers=headers).json()
        second = browser.post("/api/v1/tokens", json={"name": "x"}, headers=headers).json()
        assert first["token"] != second["token"]


class TestFromTheCommandLine:
    def test_the_owner_is_found_by_address(self, session, add_user):
        user = add_user()
        token, _ = service.create_token(session, email="HANA@example.com", name="x")
        assert token.user_id == user.id

    def test_nobody_and_disabled_people_get_none(self, session, add_user):
        with pytest.raises(NotFound, match="Nobody has the address"):
            service.create_token(session, email="ken@example.com", name="x")
        user = service.get_user(session, add_user().id)
        service.edit_user(session, user, actor_id=None, disabled=True)
        with pytest.raises(Conflict, match="disabled"):
            service.create_token(session, user_id=user.id, name="x")

    def test_one_that_is_expired_from_the_start_is_refused(self, session, add_user):
        with pytest.raises(Invalid):
            service.create_token(session, user_id=add_user().id, name="x", expires_at=now())
