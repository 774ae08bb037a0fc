"""Entering with a password or a link, staying, leaving, and being kept out."""

import statistics
import time
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from app.core.audit import AuditEvent
from app.core.clock import now
from app.core.db import transaction
from app.core.errors import NotSignedIn, TooManyAttempts
from app.core.security import digest_token
from app.identity import service
from app.identity.deps import SESSION_COOKIE
from app.identity.models import BrowserSession, SignInFailure, SignInLink
from tests.integration.identity.conftest import PASSWORD


def attempt(browser, email="hana@example.com", password=PASSWORD):
    return browser.post("/api/v1/sessions", json={"email": email, "password": password})


class TestPassword:
    def test_it_opens_a_session_that_says_who_one_is(self, anonymous, add_user):
        add_user(display_name="Hana Sato", locale="en")
        answer = attempt(anonymous)
        assert answer.status_code == 201
        me = anonymous.get("/api/v1/me").json()
        assert answer.json() == me
        assert me["email"] == "hana@example.com"
        assert me["display_name"] == "Hana Sato"
        assert me["locale"] == "en"
        assert me["permissions"] == ["read", "review"]

    def test_the_case_of_an_address_does_not_matter(self, anonymous, add_user):
        add_user()
        assert attempt(anonymous, email=" HANA@Example.com ").status_code == 201

    def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(self, anonymous, add_user):
        add_user()
        cookie = attempt(anonymous).headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert f"max-age={14 * 24 * 3600}" in cookie

    def test_the_database_does_not_know_the_secrets(self, anonymous, add_user, session):
        user = add_user()
        attempt(anonymous)
        cookie = anonymous.cookies[SESSION_COOKIE]
        stored = session.scalars(select(BrowserSession)).one()
        assert stored.token_hash == digest_token(cookie) != cookie
        assert user.password_hash is not None
        assert user.password_hash.startswith("$argon2id$")

    @pytest.mark.parametrize("email", ["hana@example.com", "nobody@example.com"])
    def test_a_stranger_learns_nothing_about_who_has_an_account(self, anonymous, add_user, email):
        add_user()
        answer = attempt(anonymous, email=email, password="wrong password")
        assert answer.status_code == 401
        assert answer.json()["detail"] == "E-mail and password do not match."
        assert SESSION_COOKIE not in anonymous.cookies

    def test_unknown_addresses_take_as_long_as_known_ones(self, session, add_user):
        add_user()

        def seconds(email: str) -> float:
            begun = time.process_time()
            with pytest.raises(NotSignedIn):
                service.sign_in(session, email=email, password="wrong password")
            return time.process_time() - begun

        seconds("first@example.com")
        pairs = [(seconds("hana@example.com"), seconds(f"nobody{n}@example.com")) for n in range(4)]
        known, unknown = map(statistics.median, zip(*pairs, strict=True))
        assert unknown > known / 2

    def test_somebody_without_a_password_cannot_use_one(self, anonymous, add_user):
        add_user(password=None)
        assert attempt(anonymous, password="").status_code == 401


class TestGuessing:
    def guess(self, browser, times, email="hana@example.com"):
        return [attempt(browser, email, "wrong password").status_code for _ in range(times)]

    @pytest.fixture
    def lengthen_pause(self, sessions):
        """A function for after five failures: the pause is a second, which a busy machine takes."""

        def lengthen():
            with transaction(sessions) as session:
                fifth = update(SignInFailure).where(SignInFailure.count == 5).values(count=10)
                assert session.execute(fifth).rowcount == 1

        return lengthen

    @pytest.mark.parametrize("email", ["hana@example.com", "nobody@example.com"])
    def test_it_is_slowed_after_five_failures(self, anonymous, add_user, lengthen_pause, email):
        add_user()
        assert self.guess(anonymous, 5, email) == [401] * 5
        lengthen_pause()
        assert self.guess(anonymous, 1, email) == [429]

    def test_even_the_right_password_has_to_wait_then(
        self, anonymous, add_user, lengthen_pause, sessions
    ):
        add_user()
        self.guess(anonymous, 5)
        lengthen_pause()
        refused = attempt(anonymous)
        assert refused.status_code == 429
        assert refused.json()["type"] == "/problems/too-many-attempts"
        assert int(refused.headers["retry-after"]) == refused.json()["retry_after"] > 0
        with transaction(sessions) as session:
            session.execute(update(SignInFailure).values(last_at=now() - timedelta(hours=1)))
        assert attempt(anonymous).status_code == 201

    def test_the_pause_grows_and_ends(self, session, add_user):
        add_user()
        address = digest_token("hana@example.com")
        session.add(SignInFailure(address_hash=address, count=500, last_at=now()))
        session.flush()
        with pytest.raises(TooManyAttempts) as refused:
            service.sign_in(session, email="hana@example.com", password=PASSWORD)
        assert 290 < refused.value.extra["retry_after"] <= service.LONGEST_PAUSE_S + 1

    def test_a_success_forgets_the_failures(self, anonymous, add_user):
        add_user()
        self.guess(anonymous, 4)
        assert attempt(anonymous).status_code == 201
        assert self.guess(anonymous, 4) == [401] * 4

    def test_others_are_not_slowed(self, anonymous, add_user):
        add_user()
        add_user("ken")
        self.guess(anonymous, 6)
        assert attempt(anonymous, "ken@example.com").status_code == 201

    def test_the_sign_in_page_counts_too_and_says_so(self, anonymous, add_user, lengthen_pause):
        add_user()
        form = {"email": "hana@example.com", "password": "wrong password"}
        for _ in range(5):
            assert anonymous.post("/sign-in", data=form).status_code == 401
        lengthen_pause()
        assert attempt(anonymous).status_code == 429
        page = anonymous.post("/sign-in", data=form, headers={"accept-language": "en"})
        assert page.status_code == 429
        assert "Too many attempts" in page.text


class TestSessions:
    def test_signing_out_ends_the_session_and_not_only_the_cookie(self, sign_in, add_user):
        add_user()
        browser = sign_in("hana")
        kept = browser.cookies[SESSION_COOKIE]
        assert browser.delete("/api/v1/sessions/current").status_code == 204
        assert SESSION_COOKIE not in browser.cookies
        browser.cookies.set(SESSION_COOKIE, kept)
        assert browser.get("/api/v1/me").status_code == 401

    def test_a_token_has_no_session_to_sign_out_of(self, client):
        answer = client.post("/sign-out", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        assert client.get("/api/v1/me").status_code == 200

    def test_a_session_expires(self, sign_in, add_user, sessions):
        add_user()
        browser = sign_in("hana")
        with transaction(sessions) as session:
            session.execute(update(BrowserSession).values(expires_at=now()))
        answer = browser.get("/api/v1/me")
        assert answer.status_code == 401
        assert answer.json()["detail"] == "This session has ended. Sign in again."

    def test_a_new_session_clears_expired_ones_away(self, sign_in, add_user, sessions, session):
        add_user()
        sign_in("hana")
        with transaction(sessions) as other:
            other.execute(update(BrowserSession).values(expires_at=now()))
        sign_in("hana")
        assert len(session.scalars(select(BrowserSession)).all()) == 1

    def test_a_made_up_cookie_opens_nothing(self, anonymous):
        anonymous.cookies.set(SESSION_COOKIE, "kizu_session_made-up")
        assert anonymous.get("/api/v1/me").status_code == 401

    def test_nobody_in_particular_is_asked_to_sign_in(self, anonymous):
        answer = anonymous.get("/api/v1/me")
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == "Bearer"


class TestForeignSites:
    """A browser sends the cookie along when another site makes it send a request."""

    @pytest.fixture
    def browser(self, sign_in, add_user):
        add_user()
        return sign_in("hana")

    @pytest.mark.parametrize(
        "headers",
        [
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"origin": "https://evil.example"},
            {"origin": "null"},
        ],
    )
    def test_they_cannot_change_anything(self, browser, headers):
        edit = {"display_name": "Stolen"}
        for answer in (
            browser.patch("/api/v1/me", json=edit, headers={"if-match": "*", **headers}),
            browser.delete("/api/v1/sessions/current", headers=headers),
            browser.post("/api/v1/tokens", json={"name": "x"}, headers=headers),
        ):
            assert answer.status_code == 403
            assert answer.json()["detail"] == "This request came from another site."
        assert browser.get("/api/v1/me").json()["display_name"] == "hana"

    def test_they_cannot_sign_anybody_in(self, anonymous, add_user):
        add_user("ken")
        body = {"email": "ken@example.com", "password": PASSWORD}
        headers = {"sec-fetch-site": "cross-site"}
        assert anonymous.post("/api/v1/sessions", json=body, headers=headers).status_code == 403

    def test_our_own_pages_can(self, browser):
        headers = {"if-match": "*", "sec-fetch-site": "same-origin", "origin": "http://testserver"}
        edit = {"display_name": "Hana"}
        assert browser.patch("/api/v1/me", json=edit, headers=headers).status_code == 200

    def test_programs_with_a_token_are_no_browsers(self, client):
        headers = {"sec-fetch-site": "cross-site"}
        body = {"email": "ken@example.com", "role": "viewer"}
        assert client.post("/api/v1/users", json=body, headers=headers).is_success


class TestLinks:
    def make(self, sessions, user=None) -> str:
        with transaction(sessions) as session:
            return service.create_sign_in_link(session, user_id=user and user.id)

    def test_opening_it_does_not_use_it_up_but_signing_in_does(
        self, anonymous, open_browser, add_user, sessions
    ):
        token = self.make(sessions, add_user())
        for _ in range(2):
            assert anonymous.get(f"/sign-in/{token}").status_code == 200
        assert anonymous.post(f"/sign-in/{token}", follow_redirects=False).status_code == 303
        assert anonymous.get("/api/v1/me").json()["email"] == "hana@example.com"
        assert open_browser().post(f"/sign-in/{token}").status_code == 401

    def test_two_at_the_same_time_open_one_session(self, add_user, sessions):
        token = self.make(sessions, add_user())
        with sessions() as first, sessions() as second:
            service.sign_in_with_link(first, token)
            first.commit()
            with pytest.raises(NotSignedIn):
                service.sign_in_with_link(second, token)

    def test_it_lasts_an_hour(self, add_user, sessions, session):
        token = self.make(sessions, add_user())
        link = session.scalars(select(SignInLink)).one()
        assert timedelta(minutes=59) < link.expires_at - now() <= timedelta(hours=1)
        link.expires_at = now()
        session.flush()
        with pytest.raises(NotSignedIn, match="used before, or is too old"):
            service.sign_in_with_link(session, token)

    def test_without_a_user_it_is_the_first_administrators_who_is_made_once(
        self, sessions, session
    ):
        self.make(sessions)
        self.make(sessions)
        assert [u.email for u in service.list_users(session)] == [service.FIRST_ADMIN]
        cookie = service.sign_in_with_link(session, self.make(sessions))
        assert service.authenticate_session(session, cookie).role == "admin"

    def test_it_forgives_the_failures(self, anonymous, add_user, sessions):
        user = add_user()
        for _ in range(6):
            attempt(anonymous, password="wrong password")
        anonymous.post(f"/sign-in/{self.make(sessions, user)}")
        assert attempt(anonymous).status_code == 201


def test_what_matters_for_security_is_in_the_audit_trail(anonymous, add_user, session):
    add_user()
    for _ in range(5):
        attempt(anonymous, password="wrong password")
    session.execute(update(SignInFailure).values(last_at=now() - timedelta(hours=1)))
    session.commit()
    attempt(anonymous)
    anonymous.delete("/api/v1/sessions/current")
    actions = session.scalars(select(AuditEvent.action).order_by(AuditEvent.id)).all()
    assert actions == [
        "user.created",
        "user.sign_in_slowed",
        "user.signed_in",
        "user.signed_out",
    ]
