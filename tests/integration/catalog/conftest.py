"""A project whose photos differ in everything that a listing asks about."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event
from sqlalchemy.orm import Session

from app.annotations import service as annotations
from app.annotations.models import LabelValue, Source
from app.images.models import Image
from app.projects import service as projects
from app.projects.models import Project
from app.pseudolabels import service as pseudolabels
from app.pseudolabels.rows import PredictionRow, Proposal
from tests.factories import make_images, make_project, make_version


class Shelf:
    """One project's photos, by the names that a test gives them, and listings of them."""

    def __init__(self, session: Session, client: TestClient) -> None:
        self.session = session
        self.client = client
        self.project: Project = make_project(session)
        self.labels = projects.labels_by_key(session, self.project.id)
        ids = [label.id for label in self.labels.values()]
        self.version = make_version(session, self.project, ids)
        self.path = f"/api/v1/projects/{self.project.slug}/images"
        self.images: dict[str, Image] = {}

    def add(self, name: str, **columns) -> Image:
        (image,) = make_images(self.session, self.project, 1)
        for column, value in {"file_name": f"{name}.png", **columns}.items():
            setattr(image, column, value)
        self.session.flush()
        self.images[name] = image
        return image

    def state(self, name: str, *, source=Source.HUMAN, complete=False, **values: LabelValue):
        """Say something about a photo, by label key."""
        annotations.annotate(
            self.session,
            project_id=self.project.id,
            image_id=self.images[name].id,
            author_id=None,
            values={self.labels[key].id: value for key, value in values.items()},
            is_complete=complete,
            source=source,
        )

    def suggest(self, name: str, **confidences: float):
        image_id = self.images[name].id
        row = PredictionRow(image_id, [0.5, 0.5], [1.0], 0.5, 0.25)
        pseudolabels.store_predictions(self.session, version=self.version, rows=[row])
        rows = [
            Proposal(image_id, self.labels[key].id, LabelValue.PRESENT, confidence, 0.8)
            for key, confidence in confidences.items()
        ]
        pseudolabels.propose(self.session, version=self.version, rows=rows)

    def get(self, **query):
        return self.client.get(self.path, params=query)

    def names(self, **query) -> list[str]:
        """Which photos a query finds, in the order of the answer."""
        answer = self.get(**query)
        assert answer.status_code == 200, answer.text
        names = {str(image.id): name for name, image in self.images.items()}
        return [names[item["id"]] for item in answer.json()["items"]]

    def pages(self, **query) -> list[list[str]]:
        """The ids of every page, to the last one."""
        found: list[list[str]] = []
        cursor: dict[str, str] = {}
        while True:
            page = self.get(**query, **cursor).json()
            found.append([item["id"] for item in page["items"]])
            if page["next_cursor"] is None:
                return found
            cursor = {"cursor": page["next_cursor"]}


@pytest.fixture
def shelf(session: Session, client: TestClient) -> Shelf:
    return Shelf(session, client)


@pytest.fixture
def count_queries(client: TestClient) -> Callable[[], AbstractContextManager[list[str]]]:
    """`with count_queries() as statements:` collects what the API asks the database."""
    engine = client.app.state.sessions.kw["bind"]  # type: ignore[attr-defined]

    @contextmanager
    def counting() -> Iterator[list[str]]:
        statements: list[str] = []

        def remember(_connection, _cursor, statement, *_rest) -> None:
            statements.append(statement)

        event.listen(engine, "before_cursor_execute", remember)
        yield statements
        event.remove(engine, "before_cursor_execute", remember)

    return counting
