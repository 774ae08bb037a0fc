"""A factory's morning for page tests: photos, a model's suggestions, made by the real services."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw
from playwright.sync_api import FilePayload
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session, sessionmaker

from app.annotations import service as annotations
from app.annotations.models import Annotation, LabelValue
from app.core.clock import now
from app.core.config import Settings
from app.core.db import make_sessions, transaction
from app.core.multipart import ReceivedFile
from app.core.storage import make_store
from app.identity import service as identity
from app.identity.models import Role, User
from app.images import service as images
from app.images.models import Image, ImageState, Split
from app.images.service import Capture
from app.jobs.models import Job, JobKind, JobState
from app.projects import service as projects
from app.projects.models import Label, Project
from app.pseudolabels import heat_maps
from app.pseudolabels import service as pseudolabels
from app.pseudolabels.rows import PredictionRow, Proposal
from app.reviews import service as reviews
from app.reviews.models import ReviewLease
from app.training import gate
from app.training import service as training
from app.training.gate import Comparison
from app.training.models import ModelState
from tests.factories import make_label, make_version
from worker.engine.embedding import embed_photos, embed_texts
from worker.imaging.decode import decode
from worker.learning.explanation import png
from worker.process import disconnect, this_process
from worker.tasks.ingest import find_out, store_renditions

EMAIL, PASSWORD = "inspector@example.com", "correct horse battery staple"
NAMES = {"scratch": ("傷", "Scratch"), "dent": ("へこみ", "Dent")}


def photo(number: int, specks: int = 0) -> FilePayload:
    """A PNG as a file chooser hands it over; each number gives another picture. A few specks make
    another file of it, and hardly another picture."""
    picture = Pillow.new("RGB", (160, 120), (150, 160 + number, 165))
    ImageDraw.Draw(picture).line((10, 10 + 5 * number, 150, 100), fill=(60, 60, 60), width=3)
    for place in range(specks):
        picture.putpixel((place, 0), (155, 165, 165))
    file = io.BytesIO()
    picture.save(file, "PNG")
    content = file.getvalue()
    return FilePayload(
        name=f"part-{number}{'-again' * specks}.png", mimeType="image/png", buffer=content
    )


@dataclass
class Workplace:
    """One inspector and the database behind the pages."""

    settings: Settings
    sessions: sessionmaker[Session]

    @classmethod
    def open(cls, settings: Settings, engine: Engine, *, locale: str) -> "Workplace":
        place = cls(settings, make_sessions(engine))
        with transaction(place.sessions) as session:
            identity.create_user(
                session,
                email=EMAIL,
                display_name="Inspector",
                role=Role.ENGINEER,
                password=PASSWORD,
                locale=locale,
            )
        return place

    def make_administrator(self) -> None:
        """The inspector also looks after the people and the audit log."""
        with transaction(self.sessions) as session:
            session.execute(update(User).values(role=Role.ADMIN))

    def add_colleague(self, email: str) -> None:
        """Another inspector, with the same password."""
        with transaction(self.sessions) as session:
            identity.create_user(
                session,
                email=email,
                display_name="Colleague",
                role=Role.REVIEWER,
                password=PASSWORD,
                locale="en",
            )

    def add_project(self, slug: str) -> None:
        """A project whose labels have names in both languages."""
        with transaction(self.sessions) as session:
            user = session.scalars(select(User).where(User.email == EMAIL)).one()
            project = projects.create_project(session, slug=slug, name=slug, actor_id=user.id)
            for position, (key, (ja, en)) in enumerate(NAMES.items()):
                label = make_label(session, project, key, position=position)
                label.names = {"ja": ja, "en": en}
        self.leave_nothing_to_chance(slug)

    def leave_nothing_to_chance(self, slug: str) -> None:
        """No image is drawn for evaluation or into the control arm."""
        with transaction(self.sessions) as session:
            never = {"control_rate": 0.0, "evaluation_rate": 0.0}
            session.execute(update(Project).where(Project.slug == slug).values(**never))

    def add_suggestions(self, slug: str, count: int) -> None:
        """A project with photos, each of which a live model says something about."""
        self.add_project(slug)
        self.receive(slug, [photo(number) for number in range(count)])
        self.ingest()
        self.suggest(slug)

    def order_labels(self, slug: str, keys: list[str]) -> None:
        with transaction(self.sessions) as session:
            project = projects.get_project(session, slug)
            projects.order_labels(session, project, keys, actor_id=None)

    def receive(self, slug: str, files: Sequence[FilePayload]) -> None:
        """What the API does with an upload."""
        store = make_store(self.settings)
        with transaction(self.sessions) as session, TemporaryDirectory() as folder:
            project = projects.get_project(session, slug)
            for one in files:
                content, path = one["buffer"], Path(folder) / one["name"]
                path.write_bytes(content)
                sha256 = hashlib.sha256(content).hexdigest()
                images.receive_upload(
                    session,
                    store,
                    project=project,
                    file=ReceivedFile(path, path.name, sha256, len(content)),
                    capture=Capture(),
                    max_pixels=self.settings.image_max_pixels,
                )

    def ingest(self) -> None:
        """What the worker does with every photo that was received."""
        store = make_store(self.settings)
        with transaction(self.sessions) as session:
            waiting = select(Image).where(Image.state == ImageState.RECEIVED)
            for image in session.scalars(waiting).all():
                content = io.BytesIO(images.read_original(store, image))
                found = decode(content, max_pixels=self.settings.image_max_pixels)
                store_renditions(store, image.sha256, found)
                project = session.get_one(Project, image.project_id)
                images.mark_ready(session, project, image.id, find_out(found))

    def embed(self, slug: str) -> None:
        """What the worker does with photos and words that wait to be looked at."""
        with transaction(self.sessions) as session:
            project = projects.get_project(session, slug)
        embed_photos(this_process(), project.id)
        embed_texts(this_process(), project.backbone)
        disconnect()

    def suggest(self, slug: str, confidence: float = 0.93) -> int:
        """The live model (one of its own where there is none) suggests `scratch` on every photo
        that nobody labelled, seen in the upper left; returns how many."""
        heat = np.zeros((16, 16), dtype=np.uint8)
        heat[2:6, 2:6] = 255
        store = make_store(self.settings)
        with transaction(self.sessions) as session:
            project = projects.get_project(session, slug)
            labels = projects.list_labels(session, project.id)
            version = training.live_version(session, project.id)
            version = version or make_version(session, project, [label.id for label in labels])
            waiting = [i for i in session.scalars(select(Image)) if i.reviewed_at is None]
            seen = [
                PredictionRow(i.id, [confidence] * len(labels), [1.0], 0.5, 0.25) for i in waiting
            ]
            pseudolabels.store_predictions(session, version=version, rows=seen)
            for image in waiting:
                heat_maps.write(store, image.id, version.id, {labels[0].id: png(heat)})
            asked = _proposals(waiting, labels[0], confidence)
            return pseudolabels.propose(session, version=version, rows=asked)

    def add_candidate(self, slug: str) -> None:
        """A second version, which is right about a photo to measure with where the live one errs;
        its gate doubts it."""
        with transaction(self.sessions) as session:
            project = projects.get_project(session, slug)
            labels = projects.list_labels(session, project.id)
            scratch = str(labels[0].id)
            doubt = {scratch: Comparison(20, -0.1, -0.2, 0.01)}
            version = make_version(
                session,
                project,
                [label.id for label in labels],
                number=2,
                state=ModelState.CANDIDATE,
                gate=gate.judge(doubt, guarded={scratch}, margin=0.05, against=1),
            )
            live = training.live_version(session, project.id)
            assert live is not None
            live.promoted_at = live.created_at
            photos = list(session.scalars(select(Image).order_by(Image.id)))
            photos[0].split = Split.EVALUATION
            seen = [PredictionRow(one.id, [0.1] * len(labels), [1.0], 0.5, 0.4) for one in photos]
            pseudolabels.store_predictions(session, version=version, rows=seen)
            measured = photos[0].file_name
        self.state(slug, measured, scratch=LabelValue.ABSENT)

    def add_job(self, slug: str, state: JobState, **columns: Any) -> str:
        """The address of a training of the project."""
        with transaction(self.sessions) as session:
            project = projects.get_project(session, slug)
            given = {"kind": JobKind.TRAIN, "payload": {}, **columns}
            job = Job(project_id=project.id, state=state, **given)
            session.add(job)
            session.flush()
            return f"/projects/{slug}/jobs/{job.id}"

    def truth(self, slug: str) -> dict[str, dict[str, LabelValue]]:
        """What is known by now: file name → label key → value."""
        with transaction(self.sessions) as session:
            project = projects.get_project(session, slug)
            keys = annotations.label_keys(session, project.id)
            found: dict[str, dict[str, LabelValue]] = {}
            for image_id, label_id, value, _ in annotations.project_truth(session, project.id):
                name = session.get_one(Image, image_id).file_name
                found.setdefault(name, {})[keys[label_id]] = value
            return found

    def state(self, slug: str, file_name: str, **values: LabelValue) -> None:
        """Somebody else states all there is to say of a photo."""
        with transaction(self.sessions) as session:
            project = projects.get_project(session, slug)
            labels = projects.labels_by_key(session, project.id)
            image = session.scalars(select(Image).where(Image.file_name == file_name)).one()
            reviews.annotate(
                session,
                project_id=project.id,
                image_id=image.id,
                author_id=None,
                values={labels[key].id: value for key, value in values.items()},
                is_complete=True,
            )

    def drop_leases(self) -> None:
        """Every lease is over, as after a night."""
        with transaction(self.sessions) as session:
            for lease in session.scalars(select(ReviewLease)):
                session.delete(lease)

    def end_leases(self) -> None:
        """The time of every lease has run out, as after a long break."""
        with transaction(self.sessions) as session:
            session.execute(update(ReviewLease).values(expires_at=now()))

    def holders(self) -> dict[str, str]:
        """Who holds what: file name → e-mail address."""
        with transaction(self.sessions) as session:
            held = select(Image.file_name, User.email).join(
                ReviewLease, ReviewLease.image_id == Image.id
            )
            rows = session.execute(held.join(User, User.id == ReviewLease.reviewer_id)).all()
            return {row.file_name: row.email for row in rows}

    def statements(self, file_name: str) -> list[tuple[str, dict[str, LabelValue]]]:
        """All that people ever stated of a photo, in order: who, and what."""
        with transaction(self.sessions) as session:
            made = session.scalars(
                select(Annotation)
                .join(Image, Image.id == Annotation.image_id)
                .where(Image.file_name == file_name)
                .order_by(Annotation.id)
            ).all()
            keys = {label.id: label.key for label in session.scalars(select(Label))}
            values = annotations.values_of(session, made)
            return [
                (
                    session.get_one(User, row.author_id).email,
                    {keys[label_id]: LabelValue(v) for label_id, v in values[row.id].items()},
                )
                for row in made
            ]


def _proposals(waiting: Sequence[Image], label: Label, confidence: float) -> list[Proposal]:
    return [
        Proposal(i.id, label.id, LabelValue.PRESENT, confidence, 0.8, has_heat_map=True)
        for i in waiting
    ]
