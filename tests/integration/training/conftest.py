"""A project whose photos people have partly labelled."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app.annotations import service as annotations
from app.annotations.models import LabelValue, Source
from app.images.models import Image
from app.projects import service as projects
from app.projects.models import Label, Project
from app.training.models import ModelState, ModelVersion
from tests.factories import make_images, make_project, make_version


@dataclass
class Line:
    """A project with the labels `scratch` and `dent`."""

    session: Session
    project: Project

    @property
    def labels(self) -> list[Label]:
        return projects.list_labels(self.session, self.project.id)

    def images(self, count: int, **columns: Any) -> list[Image]:
        return make_images(self.session, self.project, count, **columns)

    def state(
        self, image: Image, *, source: Source = Source.HUMAN, complete: bool = False, **values: str
    ) -> None:
        by_key = projects.labels_by_key(self.session, self.project.id)
        annotations.annotate(
            self.session,
            project_id=self.project.id,
            image_id=image.id,
            author_id=None,
            values={by_key[key].id: LabelValue(value) for key, value in values.items()},
            is_complete=complete,
            source=source,
        )

    def version(self, number: int, state: ModelState, **columns: Any) -> ModelVersion:
        return make_version(
            self.session,
            self.project,
            [label.id for label in self.labels],
            number=number,
            state=state,
            **columns,
        )


@pytest.fixture
def line(session: Session) -> Line:
    return Line(session, make_project(session))


def numbers(versions: Sequence[ModelVersion]) -> list[int]:
    return [version.number for version in versions]
