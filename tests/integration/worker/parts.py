"""A small factory over the API: rendered parts, an inspector who knows what they show."""

import io
import json
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from fastapi.testclient import TestClient
from PIL import Image as Pillow
from sqlalchemy.orm import Session

from app.core.config import Settings
from app.core.storage import make_store
from app.images import service as images
from app.images.models import Image
from app.projects import service as projects
from worker.imaging.decode import decode
from worker.learning.rendering import render_surface
from worker.tasks.ingest import find_out, store_renditions

SIDE = 80
ENDED = {"succeeded", "failed", "cancelled"}
QUICK = {"resolution": 64, "time_budget_seconds": 1, "predict": False}


def age_the_only_model(settings: Settings) -> None:
    """Its card becomes one that this build no longer reads."""
    (card,) = settings.blob_dir.rglob("card.json")
    card.write_text(json.dumps(json.loads(card.read_text()) | {"whole_photo": True}))


def part(number: int, labels: tuple[str, ...]) -> bytes:
    """A PNG of a steel part, too `bright` or too `dark` where asked: what seconds can teach."""
    rng = np.random.default_rng((77, number))
    pixels = render_surface(rng, SIDE, (), surface="steel").pixels
    if "bright" in labels:
        pixels = pixels // 4 + 190
    if "dark" in labels:
        pixels = pixels // 6
    file = io.BytesIO()
    Pillow.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@dataclass
class Factory:
    """One project; `truth` is what each photo shows, by image id."""

    client: TestClient
    slug: str
    labels: tuple[str, ...]
    truth: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def open(cls, client: TestClient, slug: str, *labels: str, **settings: Any) -> "Factory":
        factory = cls(client, slug, labels)
        body = {"slug": slug, "name": slug, "control_rate": 0, "evaluation_rate": 0, **settings}
        assert client.post("/api/v1/projects", json=body).status_code == 201
        for key in labels:
            made = factory.post("labels", {"key": key, "names": {"en": key}})
            assert made.status_code == 201, made.text
        return factory

    @property
    def path(self) -> str:
        return f"/api/v1/projects/{self.slug}"

    def post(self, path: str, body: Any = None, **headers: str):
        return self.client.post(f"{self.path}/{path}", json=body, headers=headers)

    def get(self, path: str, **params: Any) -> Any:
        return self.client.get(f"{self.path}/{path}", params=params).json()

    def upload(self, shown: list[tuple[str, ...]], *, split: str = "train") -> list[str]:
        """Upload a photo of each; returns the ids of the images."""
        first = len(self.truth)
        files = [
            ("files", (f"{split}-{first + n}.png", part(first + n, labels)))
            for n, labels in enumerate(shown)
        ]
        form = {"metadata": json.dumps([{"split": split}] * len(shown))}
        answer = self.client.post(f"{self.path}/images", files=files, data=form).json()
        ids = [item["image"]["id"] for item in answer["items"]]
        self.truth.update(zip(ids, shown, strict=True))
        return ids

    def annotate(self, image_ids: list[str]) -> None:
        """State everything that these photos show."""
        for image_id in image_ids:
            values = dict.fromkeys(self.truth[image_id], "present")
            body = {"values": values, "is_complete": True}
            assert self.post(f"images/{image_id}/annotations", body).status_code == 201

    def job(self, job_id: str) -> dict[str, Any]:
        return self.client.get(f"/api/v1/jobs/{job_id}").json()

    def await_job(self, job_id: str, seconds: float = 120) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while (job := self.job(job_id))["state"] not in ENDED:
            assert time.monotonic() < deadline, job
            time.sleep(0.1)
        return job

    def ingest_here(self, session: Session, settings: Settings) -> None:
        """What a worker does with every photo, without one."""
        store = make_store(settings)
        project = projects.get_project(session, self.slug)
        for image_id in self.truth:
            image = session.get_one(Image, image_id)
            content = io.BytesIO(images.read_original(store, image))
            found = decode(content, max_pixels=settings.image_max_pixels)
            store_renditions(store, image.sha256, found)
            images.mark_ready(session, project, image.id, find_out(found))
        session.commit()
