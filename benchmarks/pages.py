"""`python -m benchmarks.pages`: how long pages and the desk take in a large project.

    python -m benchmarks.pages [--images 100000] [--json FILE]

Server time is the median of a page's answers over HTTP on this machine, one after another, beside
that of the sign-in form in the same run: the same template machinery without a project. The loop is
what an inspector waits for: from the key that submits to the next photo painted, in Chromium.
"""

import argparse
import gzip
import io
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import numpy as np
from PIL import Image as Pillow
from playwright.sync_api import Page, sync_playwright
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.commands import api_command
from app.core import migrate, vectors
from app.core.config import Settings, get_settings
from app.core.db import make_engine, make_sessions, transaction
from app.core.embedded import embedded_services
from app.core.storage import make_store
from app.identity import service as identity
from app.identity.models import Role
from app.images.blobs import Rendition, blob_key
from app.jobs.models import Job, JobKind, JobState
from app.projects import service as projects
from app.stack import as_environment, free_port
from app.training.models import DatasetSnapshot, ModelState, ModelVersion
from app.web.templating import STATIC
from benchmarks.service import serving
from scripts.test_tools import find_browser

SLUG, EMAIL, PASSWORD = "large", "bench@example.com", "correct horse battery staple"
LABELS = 12
EMBEDDING_LENGTH = 128
PAGES = (
    "",
    "/images",
    "/images?label=label-1:present&sort=created_at",
    "/images?text=rust",
    "/annotate",
    "/review",
    "/grid",
)
MISTAKES = "/models/1/mistakes"  # a part of the page before
KPI_ROWS = "/kpis/rows?figure=time_saved"
ACCEPTANCE = "/models/acceptance"
MORE_PAGES = (
    *("/jobs", "/models", "/models/1", MISTAKES, ACCEPTANCE),
    *("/kpis", KPI_ROWS, "/labels", "/exchange"),
)
WARM, TIMED = 3, 21
LOOP_PHOTOS = 40
SQL = Path(__file__).with_name("large_project.sql")
# The photos that the queue serves first have pictures; nobody looks at the others.
FIRST = """
UPDATE image SET priority = 2, arm_draw = 0.9 WHERE id IN (
    SELECT id FROM image WHERE reviewed_at IS NULL AND split = 'train' LIMIT :count)
RETURNING sha256
"""
LOOP = """async () => {
    const name = () => document.querySelector("#file-name").textContent;
    const photo = document.querySelector("#photo");
    const frame = () => new Promise((wake) => requestAnimationFrame(wake));
    const key = { key: "Enter", code: "Enter", bubbles: true };
    const before = name();
    const began = performance.now();
    document.body.dispatchEvent(new KeyboardEvent("keydown", key));
    while (name() === before) await new Promise((wake) => setTimeout(wake, 1));
    await photo.decode();
    await frame();
    await frame();
    return performance.now() - began;
}"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    document = json.dumps(measure(options.images), indent=2)
    print(document)
    if options.json:
        options.json.write_text(document + "\n")


def measure(images: int) -> dict[str, Any]:
    with a_large_project(images) as url:
        pages = page_times(url)
        bare = pages.pop("bare")
        return {
            "images": images,
            "sign_in_ms": bare,
            "pages_ms": pages,
            "slowest_ratio": round(max(pages.values()) / bare, 1),
            "script_kb_gzipped": round(script_bytes() / 1000, 1),
            "next_photo_ms": loop_times(url),
        }


@contextmanager
def a_large_project(images: int) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder, embedded_services(Path(folder)) as services:
        addresses = {"database_url": services.database_url, "broker_url": services.broker_url}
        place = {"data_dir": Path(folder), "port": free_port()}
        settings = get_settings().model_copy(update={**addresses, **place})
        migrate.upgrade(services.database_url)
        engine = make_engine(services.database_url)
        with transaction(make_sessions(engine)) as session:
            contents = fill(session, images)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
        keep_pictures(settings, contents)
        os.environ.update(as_environment(settings))
        with serving(api_command(settings), settings.port):
            yield f"http://127.0.0.1:{settings.port}"


def fill(session: Session, images: int) -> list[str]:
    """The rows of a project that has been used for two months; returns the first contents."""
    person = identity.create_user(
        session, email=EMAIL, display_name="Bench", role=Role.ADMIN, password=PASSWORD, locale="en"
    )
    # Without a control arm, whose photos would come in between and have no pictures here.
    project = projects.create_project(
        session, slug=SLUG, name="Large", actor_id=person.id, control_rate=0.0
    )
    labels = [
        projects.create_label(
            session, project, key=f"label-{n}", names={"en": f"Label {n}"}, actor_id=person.id
        )
        for n in range(LABELS)
    ]
    session.flush()
    version = _version(session, project.id, [str(label.id) for label in labels])
    given = {"project": project.id, "person": person.id, "version": version.id}
    for statement in SQL.read_text().split(";\n\n"):
        session.execute(text(statement), {**given, "images": images, "labels": LABELS})
    vectors.ensure_index(
        session,
        "image_embedding",
        "embedding",
        part=("backbone", project.backbone),
        length=EMBEDDING_LENGTH,
    )
    return list(session.scalars(text(FIRST), {"count": LOOP_PHOTOS}))


def _version(session: Session, project_id: UUID, label_ids: list[str]) -> ModelVersion:
    job = Job(project_id=project_id, kind=JobKind.TRAIN, payload={}, state=JobState.SUCCEEDED)
    snapshot = DatasetSnapshot(project_id=project_id, sha256="0", counts={}, blob_key="none")
    session.add_all([job, snapshot])
    session.flush()
    version = ModelVersion(
        project_id=project_id,
        number=1,
        job_id=job.id,
        snapshot_id=snapshot.id,
        state=ModelState.LIVE,
        label_ids=label_ids,
        weights_prefix="none",
        card={},
        metrics={},
        gate={},
    )
    session.add(version)
    session.flush()
    return version


def keep_pictures(settings: Settings, contents: list[str]) -> None:
    store = make_store(settings)
    for number, sha256 in enumerate(contents):
        rng = np.random.default_rng(number)
        coarse = Pillow.fromarray(rng.integers(60, 200, (48, 64), dtype=np.uint8))
        for rendition, size in (
            (Rendition.PREVIEW, (1280, 960)),
            (Rendition.THUMBNAIL, (256, 192)),
        ):
            file = io.BytesIO()
            coarse.resize(size, Pillow.Resampling.BICUBIC).save(file, "JPEG", quality=88)
            store.put(blob_key(sha256, rendition), file.getvalue())


def page_times(url: str) -> dict[str, float]:
    """Median milliseconds of each page, by path."""
    with httpx.Client(base_url=url, follow_redirects=True) as client:
        found = {"bare": _median_ms(client, "/sign-in")}
        form = {"email": EMAIL, "password": PASSWORD, "destination": "/projects"}
        client.post("/sign-in", data=form).raise_for_status()
        for path in (*PAGES, *MORE_PAGES):
            found[path or "/"] = _median_ms(client, f"/projects/{SLUG}{path}")
        return found


def _median_ms(client: httpx.Client, path: str) -> float:
    seconds = []
    for _ in range(WARM + TIMED):
        began = time.perf_counter()
        client.get(path).raise_for_status()
        seconds.append(time.perf_counter() - began)
    return round(1000 * statistics.median(seconds[WARM:]), 1)


def script_bytes() -> int:
    """All JavaScript of all pages, as it travels."""
    return sum(len(gzip.compress(file.read_bytes())) for file in STATIC.rglob("*.js"))


def loop_times(url: str) -> dict[str, float]:
    """Milliseconds from the key that submits to the next photo on the screen."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        page = browser.new_page(base_url=url, viewport={"width": 1280, "height": 800})
        _open_desk(page)
        milliseconds = []
        for _ in range(LOOP_PHOTOS - 15):
            milliseconds.append(page.evaluate(LOOP))
            page.wait_for_timeout(700)  # a person looks at the photo
    slowest = sorted(milliseconds)[int(len(milliseconds) * 0.95)]
    return {"median": round(statistics.median(milliseconds), 1), "p95": round(slowest, 1)}


def _open_desk(page: Page) -> None:
    page.goto("/sign-in")
    page.locator("input[name=email]").fill(EMAIL)
    page.locator("input[name=password]").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/projects")
    page.goto(f"/projects/{SLUG}/review")
    page.locator("#photo").wait_for(state="visible")
    page.wait_for_timeout(1500)


if __name__ == "__main__":
    main()
