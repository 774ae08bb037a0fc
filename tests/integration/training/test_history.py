"""Which version was live, when, and who made it so: over HTTP and on the page of models."""

from sqlalchemy import event

from app.identity.models import Role
from app.training import history, service
from app.training.history import Way
from app.training.models import ModelState
from tests.factories import make_project, make_user
from tests.integration.training.conftest import Line


def walk(line, count, actor_id=None):
    for number in range(1, count + 1):
        version = line.version(number, ModelState.CANDIDATE)
        service.promote(line.session, version, actor_id=actor_id)
        line.session.commit()


def test_every_change_says_when_how_and_who(line, client):
    person = make_user(line.session, role=Role.ENGINEER)
    walk(line, 2, actor_id=person.id)
    service.roll_back(line.session, line.project.id, actor_id=person.id)
    line.session.commit()
    path = f"/api/v1/projects/{line.project.slug}/models/history"
    first = client.get(path, params={"limit": 2}).json()
    rest = client.get(path, params={"limit": 2, "cursor": first["next_cursor"]}).json()
    found = first["items"] + rest["items"]
    assert [(one["number"], one["replaced"], one["way"]) for one in found] == [
        (1, 2, Way.ROLL_BACK),
        (2, 1, Way.PERSON),
        (1, None, Way.PERSON),
    ]
    assert {one["actor"] for one in found} == {person.display_name}
    assert rest["next_cursor"] is None
    client.cookies.set("kizu_language", "en")
    text = client.get(f"/projects/{line.project.slug}/models").text
    table = text.partition('id="history"')[2].partition("</section>")[0]
    assert table.index("Rolled back") < table.index("Made live by a person")
    assert table.count(person.display_name) == 3
    page = client.get(f"/projects/{line.project.slug}/models/1").text
    assert "Live since" in page
    assert person.display_name in page
    assert "No version was live before this one." in page


def test_another_projects_changes_stay_there(line, client):
    walk(line, 1)
    elsewhere = Line(line.session, make_project(line.session))
    walk(elsewhere, 2)
    found = history.live_changes(line.session, line.project.id).rows
    assert [change.number for change in found] == [1]


def test_a_version_knows_when_it_went_live_last(line):
    walk(line, 2)
    first = service.roll_back(line.session, line.project.id, actor_id=None)
    change = history.newest_change_to(line.session, first)
    assert change is not None
    assert (change.number, change.way) == (1, Way.ROLL_BACK)
    assert history.newest_change_to(line.session, line.version(3, ModelState.CANDIDATE)) is None


def test_the_page_says_what_rolling_back_does(line, client):
    walk(line, 2)
    client.cookies.set("kizu_language", "en")
    text = client.get(f"/projects/{line.project.slug}/models/2").text
    assert "Roll back to version 1" in text
    assert "What people have answered stays." in text
    assert "compare?versions=1,2" in text


def test_a_page_of_changes_takes_the_same_queries_however_long(line, client):
    bind = client.app.state.sessions.kw["bind"]
    walk(line, 5)
    statements = []

    def remember(_connection, _cursor, statement, *_rest):
        statements.append(statement)

    def count(limit):
        statements.clear()
        client.get(f"/api/v1/projects/{line.project.slug}/models/history?limit={limit}")
        return len(statements)

    count(1)
    event.listen(bind, "before_cursor_execute", remember)
    assert count(1) == count(5) > 0
    event.remove(bind, "before_cursor_execute", remember)
