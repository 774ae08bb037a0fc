"""People: added, changed and locked out by administrators; themselves, by themselves."""

import threading

import pytest
from sqlalchemy import select

from app.core.audit import AuditEvent
from app.core.db import transaction
from app.core.errors import Conflict, Invalid
from app.identity import service
from app.identity.models import Role
from tests.factories import make_project
from tests.integration.identity.conftest import PASSWORD

KEN = {"email": "ken@example.com", "role": "reviewer", "password": "another long one"}


def change(browser, user_id, edit, if_match="*"):
    return browser.patch(f"/api/v1/users/{user_id}", json=edit, headers={"if-match": if_match})


class TestAdding:
    def test_a_person_who_was_added_can_sign_in(self, client, open_browser):
        made = client.post("/api/v1/users", json=KEN)
        assert made.status_code == 201
        assert made.json()["display_name"] == "ken"
        assert made.json()["has_password"]
        assert "another long one" not in made.text
        body = {"email": KEN["email"], "password": KEN["password"]}
        assert open_browser().post("/api/v1/sessions", json=body).status_code == 201

    def test_the_same_address_twice_names_it(self, client):
        client.post("/api/v1/users", json=KEN)
        again = client.post("/api/v1/users", json=KEN | {"email": "KEN@example.com"})
        assert again.status_code == 409
        assert again.json()["detail"] == "Somebody has the address KEN@example.com already."

    def test_the_same_address_at_the_same_time_is_one_person(self, sessions, settings):
        outcomes: list[str] = []
        with sessions() as first:
            service.create_user(first, email="ken@example.com", role=Role.VIEWER)

            def add_again() -> None:
                try:
                    with transaction(sessions) as second:
                        service.create_user(second, email="ken@example.com", role=Role.VIEWER)
                    outcomes.append("added")
                except Conflict:
                    outcomes.append("conflict")

            thread = threading.Thread(target=add_again)
            thread.start()
            thread.join(timeout=0.5)
            first.commit()
            thread.join(timeout=10)
        assert outcomes == ["conflict"]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"email": "no address"},
            {"email": ""},
            {"role": "emperor"},
            {"password": "too short"},
            {"locale": "fr"},
            {"display_name": ""},
            {"is_admin": True},
        ],
    )
    def test_what_makes_no_sense_is_refused(self, client, wrong):
        assert client.post("/api/v1/users", json=KEN | wrong).status_code == 422

    def test_the_command_line_asks_for_as_long_a_password(self, session):
        with pytest.raises(Invalid, match="at least 10 characters"):
            service.create_user(
                session, email="ken@example.com", role=Role.VIEWER, password="too short"
            )

    def test_people_are_listed_in_pages(self, client, add_user):
        for number in range(4):
            add_user(f"user{number}")
        first = client.get("/api/v1/users?limit=3").json()
        rest = client.get(f"/api/v1/users?limit=3&cursor={first['next_cursor']}").json()
        emails = [user["email"] for user in first["items"] + rest["items"]]
        assert emails == ["admin@example.com", *(f"user{n}@example.com" for n in range(4))]
        assert rest["next_cursor"] is None


class TestChanging:
    def test_an_edit_names_the_version_it_saw(self, client, add_user):
        user = add_user()
        read = client.get(f"/api/v1/users/{user.id}")
        seen = read.headers["etag"]
        edited = change(client, user.id, {"role": "engineer"}, seen)
        assert edited.status_code == 200
        assert edited.json()["role"] == "engineer"
        assert edited.headers["etag"] != seen
        assert change(client, user.id, {"role": "viewer"}, seen).status_code == 412
        blind = client.patch(f"/api/v1/users/{user.id}", json={"role": "viewer"})
        assert blind.status_code == 428

    def test_a_new_role_holds_at_once(self, client, add_user, sign_in):
        user = add_user(role=Role.VIEWER)
        browser = sign_in("hana")
        assert browser.get("/api/v1/users").status_code == 403
        change(client, user.id, {"role": "admin"})
        assert browser.get("/api/v1/users").status_code == 200

    def test_a_disabled_person_can_enter_with_nothing(self, client, add_user, sign_in, sessions):
        user = add_user()
        browser = sign_in("hana")
        token = browser.post("/api/v1/tokens", json={"name": "x"}).json()["token"]
        with transaction(sessions) as session:
            link = service.create_sign_in_link(session, user_id=user.id)
        assert change(client, user.id, {"disabled": True}).json()["disabled_at"] is not None
        body = {"email": "hana@example.com", "password": PASSWORD}
        bearer = {"authorization": f"Bearer {token}"}
        assert browser.get("/api/v1/me").status_code == 401
        assert browser.get("/api/v1/me", headers=bearer).status_code == 401
        assert browser.post("/api/v1/sessions", json=body).status_code == 401
        assert browser.post(f"/sign-in/{link}").status_code == 401
        again = client.post(f"/api/v1/users/{user.id}/sign-in-links")
        assert again.status_code == 409

    def test_enabled_again_they_sign_in_anew(self, client, add_user, sign_in):
        user = add_user()
        browser = sign_in("hana")
        change(client, user.id, {"disabled": True})
        change(client, user.id, {"disabled": False})
        assert browser.get("/api/v1/me").status_code == 401
        assert sign_in("hana").get("/api/v1/me").status_code == 200

    @pytest.mark.parametrize("edit", [{"disabled": True}, {"role": "engineer"}])
    def test_the_last_administrator_stays(self, client, add_user, edit):
        me = client.get("/api/v1/me").json()["id"]
        refused = change(client, me, edit)
        assert refused.status_code == 409
        assert "last administrator" in refused.json()["detail"]
        add_user("boss", Role.ADMIN)
        assert change(client, me, edit).status_code == 200

    def test_a_disabled_administrator_does_not_count(self, client, add_user):
        other = add_user("boss", Role.ADMIN)
        change(client, other.id, {"disabled": True})
        me = client.get("/api/v1/me").json()["id"]
        assert change(client, me, {"role": "viewer"}).status_code == 409
        assert change(client, other.id, {"role": "viewer"}).status_code == 200

    def test_two_administrators_cannot_remove_each_other_at_once(self, add_user, sessions):
        ids = [add_user(name, Role.ADMIN).id for name in ("one", "two")]
        refused: list[Conflict] = []
        with sessions() as first:
            service.edit_user(
                first, service.get_user(first, ids[0]), actor_id=ids[1], disabled=True
            )

            def remove_the_other() -> None:
                try:
                    with transaction(sessions) as second:
                        user = service.get_user(second, ids[1])
                        service.edit_user(second, user, actor_id=ids[0], disabled=True)
                except Conflict as error:
                    refused.append(error)

            thread = threading.Thread(target=remove_the_other)
            thread.start()
            thread.join(timeout=0.5)
            first.commit()
            thread.join(timeout=10)
        assert len(refused) == 1

    def test_nobody_is_not_found(self, client):
        nobody = "01890000-0000-7000-8000-000000000000"
        assert client.get(f"/api/v1/users/{nobody}").status_code == 404
        assert client.post(f"/api/v1/users/{nobody}/sign-in-links").status_code == 404

    def test_changes_are_in_the_audit_trail(self, client, add_user, session):
        user = add_user()
        change(client, user.id, {"role": "viewer"})
        event = session.scalars(select(AuditEvent).where(AuditEvent.action == "user.edited")).one()
        assert event.object_id == str(user.id)
        assert event.before == {"role": "reviewer", "disabled": False}
        assert event.after == {"role": "viewer", "disabled": False}
        assert str(event.actor_id) == client.get("/api/v1/me").json()["id"]


class TestOneself:
    @pytest.fixture
    def browser(self, add_user, sign_in):
        add_user()
        return sign_in("hana")

    def edit(self, browser, **changes):
        return browser.patch("/api/v1/me", json=changes, headers={"if-match": "*"})

    def test_name_and_language(self, browser):
        seen = browser.get("/api/v1/me").headers["etag"]
        body = {"display_name": "Hana Sato", "locale": "en"}
        edited = browser.patch("/api/v1/me", json=body, headers={"if-match": seen})
        assert edited.status_code == 200
        assert edited.json() == browser.get("/api/v1/me").json()
        assert edited.json()["display_name"] == "Hana Sato"
        stale = browser.patch("/api/v1/me", json=body, headers={"if-match": seen})
        assert stale.status_code == 412
        assert browser.patch("/api/v1/me", json=body).status_code == 428

    def test_nobody_gives_themselves_a_role(self, browser):
        assert self.edit(browser, role="admin").status_code == 422

    def test_a_new_password_needs_the_old_one(self, browser):
        assert self.edit(browser, password="a new long one").status_code == 403
        wrong = self.edit(browser, password="a new long one", current_password="guessed one")
        assert wrong.status_code == 403
        right = self.edit(browser, password="a new long one", current_password=PASSWORD)
        assert right.status_code == 200

    def test_a_new_password_ends_the_other_sessions_only(self, browser, sign_in):
        other = sign_in("hana")
        self.edit(browser, password="a new long one", current_password=PASSWORD)
        assert browser.get("/api/v1/me").status_code == 200
        assert other.get("/api/v1/me").status_code == 401

    def test_a_short_password_is_refused(self, browser):
        answer = self.edit(browser, password="too short", current_password=PASSWORD)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "#/password"

    def test_who_forgot_it_comes_by_a_link(self, client, add_user, open_browser, sign_in):
        user = add_user("ken", password=None)
        url = client.post(f"/api/v1/users/{user.id}/sign-in-links").json()["url"]
        browser = open_browser()
        assert browser.post(url).status_code == 200
        assert self.edit(browser, password=PASSWORD).status_code == 200
        assert sign_in("ken").get("/api/v1/me").status_code == 200

    def test_a_token_alone_cannot_set_a_first_password(self, anonymous, add_user, sessions):
        user = add_user("ken", password=None)
        with transaction(sessions) as session:
            _, secret = service.create_token(session, user_id=user.id, name="x")
        anonymous.headers["authorization"] = f"Bearer {secret}"
        assert self.edit(anonymous, password=PASSWORD).status_code == 403


ANYBODY = frozenset(Role)
REVIEWERS = ANYBODY - {Role.VIEWER}
ENGINEERS = REVIEWERS - {Role.REVIEWER}
ADMINISTRATORS = {Role.ADMIN}
WHO_MAY = [
    ("GET", "/api/v1/me", ANYBODY),
    ("GET", "/api/v1/tokens", ANYBODY),
    ("GET", "/api/v1/users", ADMINISTRATORS),
    ("POST", "/api/v1/users", ADMINISTRATORS),
    ("GET", "/api/v1/projects/boards/images", ANYBODY),
    ("POST", "/api/v1/projects/boards/reviews/leases", REVIEWERS),
    ("POST", "/api/v1/projects/boards/annotations/bulk", ENGINEERS),
    ("POST", "/api/v1/projects", ENGINEERS),
]


@pytest.mark.parametrize("role", list(Role))
def test_each_role_may_do_what_it_is_for(role, add_user, sign_in, sessions):
    add_user(role=role)
    with transaction(sessions) as session:
        make_project(session).slug = "boards"
    browser = sign_in("hana")
    for method, path, allowed in WHO_MAY:
        answer = browser.request(method, path, json={} if method == "POST" else None)
        assert (answer.status_code != 403) == (role in allowed), (path, answer.text)
        if answer.status_code == 403:
            assert answer.json()["type"] == "/problems/not-permitted"
