"""Every route tells its callers what it does, what it returns, how it fails, and who may call."""

import re

import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette.responses import JSONResponse
from starlette.routing import compile_path

from app.core.http.problems import MEDIA_TYPE, PROBLEM_SCHEMA
from app.identity.deps import SAFE_METHODS, get_principal
from app.identity.permissions import Permission
from app.main import create_app
from app.projects.deps import get_project

# Nobody is signed in yet where one asks whether Kizu lives, or signs in.
OPEN_PREFIXES = ("/health", "/sign-in", "/api/v1/health", "/api/v1/sign-in", "/api/v1/sessions")


@pytest.fixture
def api(settings) -> FastAPI:
    return create_app(settings)


def api_routes(app: FastAPI) -> list[RouteContext]:
    """Each with the prefix that it is mounted under."""
    every = iter_route_contexts(app.routes)
    return [route for route in every if isinstance(route.original_route, APIRoute)]


def name_of(route: RouteContext) -> str:
    return f"{','.join(sorted(route.methods or ()))} {route.path}"


def dependencies(dependant: Dependant) -> set[object]:
    found: set[object] = {dependant.call}
    for inner in dependant.dependencies:
        found |= dependencies(inner)
    return found


def test_there_are_routes(api):
    assert len(api_routes(api)) > 20


def test_every_route_has_a_summary(api):
    assert [name_of(r) for r in api_routes(api) if not (r.summary or r.description)] == []


def test_every_route_declares_what_it_returns(api):
    silent = [
        name_of(route)
        for route in api_routes(api)
        if route.response_model is None
        and route.status_code not in {202, 204, 303}
        and getattr(route.response_class, "value", route.response_class) is JSONResponse
    ]
    assert silent == []


def test_every_api_route_declares_its_errors(api):
    silent = [
        name_of(route)
        for route in api_routes(api)
        if route.path.startswith("/api/") and route.include_in_schema
        if not any(int(status) >= 400 for status in route.responses)
    ]
    assert silent == []


def test_every_error_is_described_as_a_problem_and_as_nothing_else(api):
    document = api.openapi()
    described = {
        f"{method} {path} {status}": response.get("content")
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        for status, response in operation["responses"].items()
        if int(status) >= 400
    }
    wrong = {
        name: content
        for name, content in described.items()
        if content is None
        or set(content) != {MEDIA_TYPE}
        or content[MEDIA_TYPE].get("schema") != PROBLEM_SCHEMA
    }
    assert wrong == {}
    assert len(described) > 100
    schemas = document["components"]["schemas"]
    assert "request_id" in schemas["Problem"]["properties"]
    assert "pointer" in schemas["FieldError"]["properties"]


def test_what_changes_a_project_declares_that_an_archived_one_refuses(api):
    silent = [
        name_of(route)
        for route in api_routes(api)
        if get_project in dependencies(route.dependant)
        if not set(route.methods or ()) <= SAFE_METHODS and 409 not in route.responses
    ]
    assert silent == []


def test_every_route_has_an_auth_rule(api):
    unguarded = [
        name_of(route)
        for route in api_routes(api)
        if not route.path.startswith(OPEN_PREFIXES)
        if get_principal not in dependencies(route.dependant)
    ]
    assert unguarded == []


def test_nobody_changes_a_project_who_may_only_read_it(api):
    open_to_viewers = [
        name_of(route)
        for route in api_routes(api)
        if (route.path or "").startswith("/api/v1/projects") and "GET" not in (route.methods or ())
        if {getattr(call, "permission", None) for call in dependencies(route.dependant)}
        <= {None, Permission.READ}
    ]
    assert open_to_viewers == []


def test_no_route_hides_another(api):
    """A path whose words are all somebody's own leads to the first route that takes it."""
    routes = [(route, compile_path(route.path or "")[0]) for route in api_routes(api)]
    hidden = {}
    for route, _ in routes:
        path = re.sub(r"{\w+}", "x", route.path or "")
        first = next(
            other
            for other, pattern in routes
            if pattern.match(path) and other.methods == route.methods
        )
        if first is not route:
            hidden[name_of(route)] = name_of(first)
    assert hidden == {}


def test_operation_ids_are_unique(api):
    operations = [route.unique_id for route in api_routes(api)]
    assert len(operations) == len(set(operations))
