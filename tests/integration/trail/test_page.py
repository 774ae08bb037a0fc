"""The page of the audit log, as the server writes it, and who may open the pages of settings."""

import re

import pytest
from sqlalchemy import select

from app.core import audit
from app.identity.models import Role, User
from app.projects import service as projects
from tests.factories import make_project, make_token, make_version

BROWSER = {"accept": "text/html"}


@pytest.fixture
def page(client):
    """A function that reads the page in a language."""

    def page(query: str = "", language: str = "en") -> str:
        client.cookies.set("kizu_language", language)
        answer = client.get(f"/settings/audit{query}", headers=BROWSER)
        assert answer.status_code == 200, answer.text
        return answer.text

    return page


@pytest.fixture
def project(session, client):
    project = make_project(session)
    user = session.scalars(select(User)).one()
    projects.edit_project(session, project, {"control_rate": 0.3}, actor_id=user.id)
    label = projects.list_labels(session, project.id)[0]
    projects.edit_label(session, label, {"miss_cost": 5.0, "hotkey": "k"}, actor_id=user.id)
    session.commit()
    return project


def cells(text: str) -> list[str]:
    """The rows of the table, without tags."""
    rows = re.findall(r"<tr data-event.*?</tr>", text, re.S)
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in rows]


def test_an_event_is_told_in_words(page, project):
    label, settings = cells(page(f"?project={project.slug}"))
    assert "changed the project's settings" in settings
    assert "Share without suggestions 0% → 30%" in settings
    assert f"changed a label scratch {project.slug}" in label
    assert "Cost of a miss 1.0 → 5.0" in label
    assert "Hotkey nothing → k" in label


def test_it_is_told_in_japanese(page, project):
    label, _ = cells(page(f"?project={project.slug}", "ja"))
    assert "ラベルを変更" in label
    assert "見逃しの損失 1.0 → 5.0" in label
    assert "キー なし → k" in label
    assert "changed" not in label


def test_objects_are_linked_while_they_are_there(page, project, session):
    version = make_version(session, project, [])
    audit.record(
        session,
        "model.promoted",
        "model_version",
        version.id,
        project_id=project.id,
        after={"number": version.number},
    )
    session.commit()
    text = page(f"?project={project.slug}")
    assert f'href="/projects/{project.slug}/models/1"' in text
    assert f'href="/projects/{project.slug}/labels">scratch</a>' in text
    projects.hide_project(session, projects.hold_project(session, project.id), actor_id=None)
    session.commit()
    text = page(f"?project={project.id}")
    assert f'href="/projects/{project.slug}' not in text
    assert "deleted the project" in text


def test_filters_stay_in_the_address(page, project):
    text = page(f"?project={project.slug}&action=label.edited&actor=&from=&to=")
    assert len(cells(text)) == 1
    assert re.search(r'href="/api/v1/audit-events.csv\?[^"]*action=label.edited', text)
    assert re.search(r'href="/api/v1/audit-events.csv\?[^"]*time_zone=Asia%2FTokyo', text)
    assert re.search(r'<option value="label.edited" selected>', text)


def test_older_events_are_a_link_away(page, project):
    text = page("?limit=1")
    older = re.search(r'href="/settings/audit\?(cursor=[^"]+)"', text)
    assert older is not None
    following = cells(page(f"?limit=1&{older.group(1)}"))
    assert len(following) == 1
    assert following != cells(text)


def test_a_filter_that_does_not_exist_is_an_error_page(client):
    assert client.get("/settings/audit?colour=red", headers=BROWSER).status_code == 422
    assert client.get("/settings/audit?project=nowhere", headers=BROWSER).status_code == 404


def test_the_check_says_what_is_wrong(client, project, tamper):
    client.cookies.set("kizu_language", "en")
    assert "The audit log is whole" in client.get("/settings/audit/chain").text
    tamper("UPDATE audit_event SET after = '{}' WHERE id = (SELECT max(id) FROM audit_event)")
    text = client.get("/settings/audit/chain").text
    assert "tampered with" in text
    assert "is no longer what was written" in text


@pytest.mark.parametrize(
    ("path", "least"),
    [
        ("/settings/members", Role.ADMIN),
        ("/settings/audit", Role.ADMIN),
        ("/settings/audit/chain", Role.ADMIN),
        ("/settings/account", Role.VIEWER),
        ("/settings/tokens", Role.VIEWER),
        ("/projects/{slug}/settings", Role.ENGINEER),
    ],
)
def test_who_may_open_what(anonymous, session, path, least):
    project = make_project(session)
    order = [Role.VIEWER, Role.REVIEWER, Role.ENGINEER, Role.ADMIN]
    headers = {role: make_token(session, role) | BROWSER for role in order}
    session.commit()
    for role in order:
        answer = anonymous.get(path.format(slug=project.slug), headers=headers[role])
        assert answer.status_code == (200 if order.index(role) >= order.index(least) else 403), role
        assert answer.headers["content-type"].startswith("text/html")


def test_the_way_to_the_settings_shows_only_what_may_be_opened(anonymous, session):
    project = make_project(session)
    engineer, viewer = make_token(session, Role.ENGINEER), make_token(session, Role.VIEWER)
    session.commit()
    text = anonymous.get("/settings", headers=engineer | BROWSER).text
    assert "/settings/tokens" in text
    assert "/settings/members" not in text
    assert "/settings/audit" not in text
    settings = f"/projects/{project.slug}/settings"
    overview = f"/projects/{project.slug}"
    assert settings in anonymous.get(overview, headers=engineer | BROWSER).text
    assert settings not in anonymous.get(overview, headers=viewer | BROWSER).text
    text = anonymous.get(settings, headers=engineer | BROWSER).text
    assert "delete-project" not in text, "that takes an administrator"
    assert "/settings/audit" not in text
