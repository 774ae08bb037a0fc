"""A project in which a live model has suggested something about every image."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app.annotations.models import LabelValue
from app.identity.models import User
from app.images.models import Image
from app.projects import service as projects
from app.projects.models import Label, Project
from app.pseudolabels import service as pseudolabels
from app.pseudolabels.rows import PredictionRow, Proposal
from app.reviews import service
from app.reviews.models import Verdict
from app.reviews.service import Held, Holder, Submission, Wish
from app.training.models import ModelVersion
from tests.factories import make_project, make_user, make_version
from tests.integration.catalog.conftest import count_queries

__all__ = ["count_queries"]

LEASE_S = 300.0


@dataclass
class Desk:
    """A project with its model, and a reviewer at work in it."""

    session: Session
    project: Project
    labels: Mapping[str, Label]
    version: ModelVersion
    reviewer: User

    def see(
        self,
        image: Image,
        *,
        uncertainty: float = 0.5,
        margin: float = 0.0,
        novelty: float | None = None,
    ) -> None:
        """Let the live model look at an image and suggest nothing."""
        even = [0.5] * len(self.labels)
        row = PredictionRow(image.id, even, [1.0], uncertainty, margin, novelty)
        pseudolabels.store_predictions(self.session, version=self.version, rows=[row])

    def suggest(self, image: Image, uncertainty: float = 0.5, **confidences: float) -> None:
        """Let the live model see an image and suggest that these labels are present."""
        self.see(image, uncertainty=uncertainty)
        rows = [
            Proposal(image.id, self.labels[key].id, LabelValue.PRESENT, confidence, 0.8)
            for key, confidence in confidences.items()
        ]
        pseudolabels.propose(self.session, version=self.version, rows=rows)

    def lease(self, count: int = 1, *, reviewer: User | None = None, **wish: Any) -> list[Held]:
        return service.lease_next(
            self.session,
            project=self.project,
            reviewer_id=(reviewer or self.reviewer).id,
            wish=Wish(count=count, **wish),
            lease_seconds=LEASE_S,
        )

    def holder(self, held: Held) -> Holder:
        return Holder(self.project.id, held.image.id, held.lease.reviewer_id, held.lease.token)

    def submit(self, held: Held, **content: Any):
        """Accept every suggestion and call the image complete, unless told otherwise."""
        verdicts = {row.id: Verdict.ACCEPT for row in held.suggestions}
        content = {"verdicts": verdicts, "additions": {}, "is_complete": True, **content}
        return service.submit(
            self.session,
            project=self.project,
            holder=self.holder(held),
            submission=Submission(**content),
        )


@pytest.fixture
def make_desk(session: Session) -> Callable[..., Desk]:
    def make(**settings: object) -> Desk:
        project = make_project(session, labels=("scratch", "dent", "rust"), **settings)
        labels = projects.labels_by_key(session, project.id)
        version = make_version(session, project, [label.id for label in labels.values()])
        return Desk(session, project, labels, version, make_user(session))

    return make


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    return make_desk()
