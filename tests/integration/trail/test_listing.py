"""Reading the audit trail: pages, filters, names, and who may."""

import csv
import io
from itertools import pairwise

import pytest
from sqlalchemy import event, select

from app.core import audit
from app.core.db import transaction
from app.core.ids import new_id
from app.core.pagination import encode_cursor
from app.identity import service as identity
from app.identity.models import Role, User
from app.projects import service as projects
from tests.factories import make_project, make_token, make_user
from tests.integration.trail.conftest import URL

CSV, CHAIN = f"{URL}.csv", "/api/v1/audit-chain"


@pytest.fixture
def admin(session, client):
    return session.scalars(select(User).where(User.email == "admin@example.com")).one()


@pytest.fixture
def project(session):
    project = make_project(session)
    session.commit()
    return project


class TestPages:
    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 500])
    def test_every_event_is_served_once_the_newest_first(self, read, record, limit):
        expected = [record(after={"number": number}) for number in range(7)]
        found = read(action="label.edited", limit=limit)
        assert [one["id"] for one in found] == expected[::-1]
        assert [one["after"]["number"] for one in found] == [6, 5, 4, 3, 2, 1, 0]

    def test_what_is_recorded_meanwhile_shifts_nothing(self, client, read, record):
        ids = [record() for _ in range(4)]
        page = client.get(URL, params={"action": "label.edited", "limit": 2}).json()
        record()
        query = {"action": "label.edited", "cursor": page["next_cursor"]}
        rest = client.get(URL, params=query).json()
        assert [one["id"] for one in page["items"] + rest["items"]] == ids[::-1]

    @pytest.mark.parametrize("cursor", ["nonsense", encode_cursor(["x"]), encode_cursor([1, 2])])
    def test_a_cursor_of_elsewhere_is_a_bad_request(self, client, cursor):
        assert client.get(URL, params={"cursor": cursor}).status_code == 400

    def test_a_page_takes_the_same_few_queries_however_long(self, client, record, session):
        for _ in range(12):
            project, user = make_project(session), make_user(session)
            session.commit()
            record(actor_id=user.id, project_id=project.id)
        statements: list[str] = []
        bind = client.app.state.sessions.kw["bind"]
        client.get(URL)

        def remember(_connection, _cursor, statement, *_rest) -> None:
            statements.append(statement)

        def count(limit: int) -> int:
            statements.clear()
            assert len(client.get(URL, params={"limit": limit}).json()["items"]) == limit
            return len(statements)

        event.listen(bind, "before_cursor_execute", remember)
        # Who asks, the events, the people and the projects.
        assert count(1) == count(12) == 4
        assert not any("OFFSET" in one.upper() for one in statements)


class TestFilters:
    def test_by_project_also_when_it_was_deleted(self, read, record, project, session):
        ours = record(project_id=project.id)
        record(project_id=new_id())
        assert [one["id"] for one in read(project=project.slug)] == [ours]
        assert read(project=project.slug)[0]["project"] == project.slug
        slug, name = project.slug, str(project.id)
        held = projects.hold_project(session, project.id)
        projects.hide_project(session, held, actor_id=None)
        session.commit()
        found = read(project=name)
        assert [one["action"] for one in found] == ["project.deleted", "label.edited"]
        assert {(one["project"], one["project_id"]) for one in found} == {(None, name)}
        assert found[0]["before"] == {"slug": slug, "name": slug}

    def test_by_actor_action_and_object(self, read, record, admin, session):
        other = make_user(session)
        session.commit()
        first = record(actor_id=admin.id)
        second = record("image.deleted", "image", actor_id=other.id)
        third = record("label.archived", actor_id=other.id)
        assert [one["id"] for one in read(actor=str(other.id))] == [third, second]
        assert [one["id"] for one in read(object_type="label")] == [third, first]
        assert [one["id"] for one in read(object_type="label", actor=str(other.id))] == [third]
        assert [one["id"] for one in read(action="image.deleted")] == [second]
        assert read(action="image.edited") == []

    def test_days_are_those_of_the_time_zone(self, read, record_at):
        late = record_at("2026-03-01T23:30:00+00:00")
        noon = record_at("2026-03-02T12:00:00+00:00")
        next_day = record_at("2026-03-03T00:00:00+00:00")
        day = {"action": "label.created", "from": "2026-03-02", "to": "2026-03-02"}
        assert [one["id"] for one in read(**day)] == [noon]
        assert [one["id"] for one in read(**day, time_zone="Asia/Tokyo")] == [noon, late]
        since = {"action": "label.created", "from": "2026-03-03"}
        assert [one["id"] for one in read(**since)] == [next_day]

    @pytest.mark.parametrize(
        ("query", "status"),
        [
            ({"project": "nowhere"}, 404),
            ({"actor": "hana"}, 422),
            ({"from": "yesterday"}, 422),
            ({"to": "9999-12-31"}, 422),
            ({"time_zone": "Mars/Olympus"}, 422),
            ({"colour": "red"}, 422),
            ({"limit": 501}, 422),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, client, query, status):
        assert client.get(URL, params=query).status_code == status
        if "limit" not in query:
            assert client.get(CSV, params=query).status_code == status


class TestNames:
    def test_an_event_says_who_and_what(self, client, admin, project):
        address = f"/api/v1/projects/{project.slug}"
        client.patch(address, json={"control_rate": 0.3}, headers={"if-match": "*"})
        told = client.get(URL, params={"limit": 1}).json()["items"][0]
        assert told["actor"] == {
            "id": str(admin.id),
            "display_name": admin.display_name,
            "email": admin.email,
        }
        assert (told["action"], told["object_type"]) == ("project.edited", "project")
        assert (told["project"], told["object_id"]) == (project.slug, str(project.id))
        assert (told["before"], told["after"]) == ({"control_rate": 0.0}, {"control_rate": 0.3})

    def test_without_a_person_it_was_kizu_itself(self, read, record):
        record("model.promoted_by_gate", "model_version")
        assert read(action="model.promoted_by_gate")[0]["actor"] is None


class TestTable:
    def rows(self, client, **query) -> list[dict[str, str]]:
        answer = client.get(CSV, params=query)
        assert answer.headers["content-type"].startswith("text/csv")
        return list(csv.DictReader(io.StringIO(answer.text)))

    def test_it_holds_what_the_pages_hold(self, client, read, record, project, admin):
        record(project_id=project.id, actor_id=admin.id, after={"names": {"ja": "傷"}})
        record(project_id=new_id())
        (row,) = self.rows(client, project=project.slug)
        (told,) = read(project=project.slug)
        assert (row["id"], row["hash"]) == (str(told["id"]), told["hash"])
        assert (row["actor"], row["project"]) == ("admin@example.com", project.slug)
        assert (row["before"], row["after"]) == ("", '{"names": {"ja": "傷"}}')

    def test_it_is_longer_than_a_page(self, client, record, engine, sessions):
        with transaction(sessions) as session:
            ids = [
                audit.record(session, "label.edited", "label", n).id for n in map(str, range(1003))
            ]
        found = [int(row["id"]) for row in self.rows(client, action="label.edited")]
        assert found == ids[::-1]
        assert all(one > other for one, other in pairwise(found))

    def test_no_cell_is_a_formula(self, client, record):
        record("=HYPERLINK(1)", "+label", id="@x")
        (row,) = self.rows(client, action="=HYPERLINK(1)")
        assert (row["action"], row["object_type"], row["object_id"]) == (
            "'=HYPERLINK(1)", "'+label", "'@x",
        )  # fmt: skip


@pytest.mark.parametrize("path", [URL, CSV, CHAIN])
class TestWhoMay:
    @pytest.mark.parametrize("role", [Role.VIEWER, Role.REVIEWER, Role.ENGINEER])
    def test_only_administrators(self, anonymous, session, path, role):
        headers = make_token(session, role)
        session.commit()
        assert anonymous.get(path, headers=headers).status_code == 403

    def test_a_token_needs_the_scope(self, anonymous, client, session, admin, path):
        _, narrow = identity.create_token(
            session, user_id=admin.id, name="narrow", scopes=["manage", "read"]
        )
        session.commit()
        headers = {"authorization": f"Bearer {narrow}"}
        assert client.get(path, headers=headers).status_code == 403
        assert client.get(path).status_code == 200

    def test_not_strangers(self, anonymous, path):
        assert anonymous.get(path).status_code == 401
