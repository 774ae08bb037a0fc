"""Rows for tests that start in the middle of the flow: projects, images, model versions.

They are real rows in the real database; what the test is about goes through the services.
"""

import itertools
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.core.ids import new_id
from app.identity import service as identity
from app.identity.models import Role, User
from app.images.models import Image, ImageState, Split
from app.jobs.models import Job, JobKind, JobState
from app.projects.models import Label, Project
from app.training.models import DatasetSnapshot, ModelState, ModelVersion

_numbers = itertools.count(1)


def make_user(session: Session, *, role: Role = Role.REVIEWER) -> User:
    number = next(_numbers)
    user = User(email=f"user{number}@example.com", display_name=f"User {number}", role=role)
    session.add(user)
    session.flush()
    return user


def make_token(session: Session, role: Role) -> dict[str, str]:
    """What somebody new of this role sends with every request."""
    user = make_user(session, role=role)
    _, token = identity.create_token(session, user_id=user.id, name="tests")
    return {"Authorization": f"Bearer {token}"}


def make_project(
    session: Session, *, labels: Sequence[str] = ("scratch", "dent"), **settings: Any
) -> Project:
    """A project with labels; no image is drawn into the control arm unless asked for."""
    slug = f"project-{next(_numbers)}"
    settings = {"control_rate": 0.0, **settings}
    project = Project(slug=slug, name=slug, draw_secret=b"secret", **settings)
    session.add(project)
    session.flush()
    for position, key in enumerate(labels):
        make_label(session, project, key, position=position)
    return project


def make_label(session: Session, project: Project, key: str, *, position: int) -> Label:
    label = Label(
        project_id=project.id, key=key, names={"en": key}, colour="#d00", position=position
    )
    session.add(label)
    session.flush()
    return label


def make_images(
    session: Session, project: Project, count: int, *, split: Split = Split.TRAIN, **columns: Any
) -> list[Image]:
    """Photos that went through ingest; `arm_draw` is 0.5 unless given."""
    images = [
        Image(
            project_id=project.id,
            sha256=new_id().hex,
            file_name=f"{next(_numbers)}.png",
            media_type="image/png",
            byte_size=1,
            state=ImageState.READY,
            split=split,
            **{"arm_draw": 0.5, **columns},
        )
        for _ in range(count)
    ]
    session.add_all(images)
    session.flush()
    return images


def make_version(
    session: Session,
    project: Project,
    labels: Sequence[UUID],
    *,
    number: int = 1,
    state: ModelState = ModelState.LIVE,
    **columns: Any,
) -> ModelVersion:
    """A model version as a finished training leaves it."""
    job = Job(project_id=project.id, kind=JobKind.TRAIN, payload={}, state=JobState.SUCCEEDED)
    snapshot = DatasetSnapshot(project_id=project.id, sha256="0", counts={}, blob_key="none")
    session.add_all([job, snapshot])
    session.flush()
    version = ModelVersion(
        project_id=project.id,
        number=number,
        job_id=job.id,
        snapshot_id=snapshot.id,
        state=state,
        label_ids=[str(label) for label in labels],
        weights_prefix="none",
        **{"card": {}, "metrics": {}, "gate": {}, **columns},
    )
    session.add(version)
    session.flush()
    return version
