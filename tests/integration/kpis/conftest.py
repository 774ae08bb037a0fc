"""A project under review, whose KPIs are read as the API computes them."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import pytest

from app.annotations import service as annotations
from app.annotations.models import Annotation, LabelValue
from app.images.models import Arm, Image
from app.kpis import service
from app.kpis.reading import Reading
from app.kpis.schemas import KpiQuery, KpisOut
from app.reviews.service import Held
from tests.factories import make_images
from tests.integration.catalog.conftest import count_queries
from tests.integration.reviews.conftest import Desk, make_desk

__all__ = ["count_queries", "make_desk"]

CONTROL, ASSISTED = 0.1, 0.9  # draws below and above a control rate of one half


class Office:
    """A simulated project (times are what reviewers say), half of it in the control arm."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.session = desk.session
        self.project = desk.project
        self._held: dict[UUID, Held] = {}

    def photo(self, arm_draw: float = ASSISTED, **confidences: float) -> Image:
        (image,) = make_images(self.session, self.project, 1, arm_draw=arm_draw)
        self.desk.suggest(image, **confidences)
        return image

    def hold(self, image: Image) -> Held:
        """Lease this photo; others that come along are held until they are asked for."""
        self._held |= {held.image.id: held for held in self.desk.lease(50)}
        return self._held.pop(image.id)

    def review(self, image: Image, *, seconds: float | None = None, present=(), **content):
        """Submit this photo as complete, with these labels present."""
        content = {"additions": self.values(*present), **content}
        active_ms = None if seconds is None else round(seconds * 1000)
        return self.desk.submit(self.hold(image), active_ms=active_ms, **content)

    def state(self, image: Image, *present: str, complete=True, author=None, **more):
        """Annotate outside of the review queue; `more` are circumstances, and values by label."""
        other = {self.desk.labels[k].id: more.pop(k) for k in list(more) if k in self.desk.labels}
        return annotations.annotate(
            self.session,
            project_id=self.project.id,
            image_id=image.id,
            author_id=(author or self.desk.reviewer).id,
            values=self.values(*present) | other,
            is_complete=complete,
            **more,
        )

    def values(self, *present: str) -> dict:
        return {self.desk.labels[key].id: LabelValue.PRESENT for key in present}

    def reviewed_at(self, moment: datetime) -> None:
        """A photo of the control arm that was finished then: rows as a review leaves them."""
        annotation = Annotation(
            project_id=self.project.id,
            image_id=self.photo(CONTROL).id,
            author_id=self.desk.reviewer.id,
            created_at=moment,
            is_complete=True,
            finishes_image=True,
            active_ms=10_000,
            arm=Arm.CONTROL,
        )
        self.session.add(annotation)
        self.session.flush()

    def kpis(self, **query: str) -> KpisOut:
        return service.compute(Reading(self.session, self.project, KpiQuery.model_validate(query)))


@pytest.fixture
def make_office(make_desk: Callable[..., Desk]) -> Callable[..., Office]:
    def make(**settings: object) -> Office:
        return Office(make_desk(**{"control_rate": 0.5, "simulated": True, **settings}))

    return make


@pytest.fixture
def office(make_office: Callable[..., Office]) -> Office:
    return make_office()
