"""Every failure leaves as a problem document that says what went wrong, and nothing else."""

import pytest
from fastapi import APIRouter, Request
from sqlalchemy import select, text

from app.core.errors import Conflict
from app.core.http.problems import MEDIA_TYPE
from app.core.http.transactions import make_router
from app.identity.models import User


def assert_problem(answer, status: int, code: str) -> dict:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"] == f"/problems/{code}"
    assert problem["title"]
    assert problem["detail"]
    assert problem["instance"] == answer.request.url.path
    assert problem["request_id"]
    return problem


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v2/projects", "/nothing", "/api/v1/"])
def test_an_unknown_route(anonymous, path):
    assert_problem(anonymous.get(path), 404, "not-found")


def test_an_unknown_route_of_the_api_is_a_problem_for_browsers_too(anonymous):
    answer = anonymous.get("/api/v1/nothing", headers={"accept": "text/html"})
    assert_problem(answer, 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/api/v1/users"),
        ("DELETE", "/api/v1/projects"),
        ("POST", "/health"),
        ("PUT", "/api/v1/projects/boards/images"),
    ],
)
def test_a_method_that_a_route_does_not_know(client, method, path):
    answer = client.request(method, path)
    assert_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"]


def test_each_wrong_member_is_pointed_at(client):
    body = {"email": "ken@example.com", "role": "emperor", "password": "short"}
    problem = assert_problem(client.post("/api/v1/users", json=body), 422, "invalid")
    assert {error["pointer"] for error in problem["errors"]} == {"#/role", "#/password"}
    assert "#/role" in problem["detail"]


@pytest.mark.parametrize("content", [b"{", b"", b'"text"', b"\xff\xfe", b"[1,2]", b"NaN"])
def test_a_body_that_is_no_object(client, content):
    headers = {"content-type": "application/json"}
    answer = client.post("/api/v1/users", content=content, headers=headers)
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == MEDIA_TYPE


def test_a_secret_that_was_refused_is_not_repeated(client):
    body = {"email": "ken@example.com", "role": "viewer", "password": "hunter2"}
    assert "hunter2" not in client.post("/api/v1/users", json=body).text


def test_text_that_the_database_cannot_hold(client):
    body = {"email": "ken@example.com", "role": "viewer", "display_name": "nul\x00"}
    assert_problem(client.post("/api/v1/users", json=body), 422, "invalid")


def test_what_the_database_holds_and_nobody_can_read_is_our_own_error(client, session):
    """Not the fault of the request that meets it."""
    session.execute(text("UPDATE user_account SET created_at = '0001-12-31 00:00:00+00 BC'"))
    session.commit()
    assert_problem(client.get("/api/v1/users"), 500, "internal-error")


def test_text_that_no_row_can_hold_is_not_our_error(client):
    answer = client.get("/api/v1/projects/nul%00")
    assert answer.status_code == 422
    assert answer.json()["type"] == "/problems/invalid"


@pytest.fixture
def faulty(anonymous):
    """The API with two more routes, which fail."""
    router: APIRouter = make_router("/faulty", "Faulty")

    @router.get("/unexpected")
    def unexpected() -> None:
        raise RuntimeError("secret of the house")

    @router.get("/expected")
    def expected() -> None:
        raise Conflict("It is broken.", broken_since="Monday")

    anonymous.app.include_router(router)
    return anonymous


def test_an_error_of_our_own_says_that_and_gives_nothing_away(faulty):
    answer = faulty.get("/faulty/unexpected")
    assert_problem(answer, 500, "internal-error")
    assert "secret" not in answer.text


def test_an_error_of_the_business_carries_its_members(faulty):
    problem = assert_problem(faulty.get("/faulty/expected"), 409, "conflict")
    assert problem["broken_since"] == "Monday"


def test_a_failure_leaves_nothing_behind(client, session, faulty):
    router = make_router("/half", "Half")

    @router.post("")
    def half(request: Request) -> None:
        request.state.session.add(
            User(email="half@example.com", display_name="Half", role="viewer")
        )
        request.state.session.flush()
        raise Conflict("It broke in the middle.")

    faulty.app.include_router(router)
    assert faulty.post("/half").status_code == 409
    assert [user.email for user in session.scalars(select(User))] == ["admin@example.com"]


def test_the_request_id_joins_answer_and_problem(client):
    answer = client.get("/api/v1/nothing")
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


@pytest.mark.parametrize("path", ["/health", "/api/v1/nothing", "/sign-in"])
def test_every_answer_tells_browsers_to_be_careful(anonymous, path):
    headers = anonymous.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "script-src 'self'" in headers["content-security-policy"]
    assert "unsafe-inline" not in headers["content-security-policy"]


def test_the_description_of_the_api_can_be_read(anonymous):
    document = anonymous.get("/api/v1/openapi.json").json()
    assert "/api/v1/users/{user_id}" in document["paths"]
