"""A project, packs of photos, and ways in and out: by the services, and by HTTP and a worker."""

import csv
import hashlib
import io
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.annotations.models import ImageLabel
from app.core.db import make_sessions, transaction
from app.core.storage import Blobs, make_store
from app.exchange import service
from app.exchange.exporting import Source, Written
from app.exchange.importing import Site
from app.exchange.schemas import ExportIn, ImportOptions, ImportReport
from app.images.models import Image
from app.projects.models import Label, Project
from tests.factories import make_images, make_project
from tests.photos import photo

ENDED = {"succeeded", "failed", "cancelled"}
Truth = dict[str, dict[str, str]]


@pytest.fixture
def store(settings) -> Blobs:
    return make_store(settings)


@pytest.fixture
def project(session: Session) -> Project:
    """No photo is drawn into the evaluation set, so that splits are what files say."""
    project = make_project(session, evaluation_rate=0.0)
    session.commit()
    return project


def add_photos(session: Session, project: Project, *names: str, **columns: Any) -> list[Image]:
    """Photos without bytes, committed."""
    images = make_images(session, project, len(names), **columns)
    for number, (image, name) in enumerate(zip(images, names, strict=True)):
        image.file_name = name
        image.sha256 = hashlib.sha256(f"{image.id}{number}".encode()).hexdigest()
    session.commit()
    return images


def table(*rows: tuple[Any, ...], delimiter: str = ",") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    return out.getvalue()


def zipped(members: dict[str, str | bytes], *, compression: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def a_pack(root: str = "") -> dict[str, str | bytes]:
    """Three photos: one with both defects, one without any, one of the vault."""
    rows = [
        ("file", "split", "labels"),
        ("images/both.png", "train", "scratch|dent"),
        ("images/good.png", "train", ""),
        ("images/vault.png", "test", "dent"),
    ]
    classes = [("label", "phrase"), ("scratch", "a long scratch"), ("dent", "a dent")]
    photos: dict[str, str | bytes] = {row[0]: photo(seed) for seed, row in enumerate(rows[1:])}
    tables = {"labels.csv": table(*rows), "classes.tsv": table(*classes, delimiter="\t")}
    return {f"{root}{name}": content for name, content in {**photos, **tables}.items()}


@pytest.fixture
def take_in(engine, store, settings, tmp_path) -> Callable[..., ImportReport]:
    """A function that imports a file or folder through the service, as the CLI does."""
    sessions = make_sessions(engine)

    def take_in(
        project: Project, content: bytes | Path, name: str = "file.zip", **options: Any
    ) -> ImportReport:
        path = content if isinstance(content, Path) else tmp_path / "incoming"
        if isinstance(content, bytes):
            path.write_bytes(content)
        workdir = tmp_path / options.pop("workdir", f"work-{time.monotonic_ns()}")
        site = Site(
            project_id=project.id,
            author_id=None,
            transact=lambda: transaction(sessions),
            store=store,
            max_pixels=settings.image_max_pixels,
            workdir=workdir,
            on_progress=options.pop("on_progress", lambda share, stage: None),
        )
        return service.run_import(path, ImportOptions(**options), site, name=name)

    return take_in


@pytest.fixture
def hand_out(engine, store, tmp_path) -> Callable[..., tuple[Path, Written]]:
    """A function that exports a project through the service, as the CLI does."""

    def hand_out(project: Project, **wanted: Any) -> tuple[Path, Written]:
        path = tmp_path / f"export-{time.monotonic_ns()}"
        with make_sessions(engine)() as session:
            source = Source(session, store, project, ExportIn(**wanted), lambda share, stage: None)
            return path, service.run_export(source, path)

    return hand_out


@pytest.fixture
def truth_of(engine) -> Callable[[Project], Truth]:
    """A function that reads what is known, by file name and label key."""

    def truth_of(project: Project) -> Truth:
        with make_sessions(engine)() as session:
            images = select(Image.file_name).where(Image.project_id == project.id)
            found: Truth = {name: {} for name in session.scalars(images)}
            known = (
                select(Image.file_name, Label.key, ImageLabel.value)
                .join(ImageLabel, ImageLabel.image_id == Image.id)
                .join(Label, Label.id == ImageLabel.label_id)
                .where(Image.project_id == project.id)
            )
            for name, key, value in session.execute(known):
                found[name][key] = value
            return found

    return truth_of


def wait_for(client: TestClient, job_id: str, *, seconds: float = 90.0) -> dict[str, Any]:
    """The job once it has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        job = client.get(f"/api/v1/jobs/{job_id}").json()
        if job["state"] in ENDED:
            return job
        time.sleep(0.2)
    raise AssertionError(f"the job did not end: {job}")
