"""Who may see where a model sees a label, over HTTP; and which maps are kept."""

import io

import numpy as np
import pytest
from PIL import Image as Pillow

from app.annotations import service as annotations
from app.annotations.models import LabelValue
from app.core.storage import make_store
from app.projects import service as projects
from app.pseudolabels import heat_maps, service
from app.pseudolabels.rows import PredictionRow, Proposal
from app.training.models import ModelState
from tests.factories import make_images, make_project, make_user, make_version
from worker.learning.explanation import png

HEAT = np.arange(256, dtype=np.uint8).reshape(16, 16)


class Floor:
    """A project whose live model suggests `scratch`, with a map, and `dent`, without."""

    def __init__(self, session, settings, *, arm_draw=0.5):
        self.session, self.store = session, make_store(settings)
        self.project = make_project(session, control_rate=0.2)
        self.labels = projects.list_labels(session, self.project.id)
        (self.image,) = make_images(session, self.project, 1, arm_draw=arm_draw)
        self.suggest(number=1)

    def suggest(self, number: int) -> None:
        version = make_version(
            self.session,
            self.project,
            [label.id for label in self.labels],
            number=number,
            state=ModelState.LIVE if number == 1 else ModelState.CANDIDATE,
        )
        heat_maps.write(self.store, self.image.id, version.id, {self.labels[0].id: png(HEAT)})
        row = PredictionRow(self.image.id, [0.9, 0.9], [1.0], 0.5, 0.4)
        service.store_predictions(self.session, version=version, rows=[row])
        self.forgotten = service.forget_heat_maps(self.session, [self.image.id], version)
        rows = [
            Proposal(self.image.id, label.id, LabelValue.PRESENT, 0.9, 0.8, has_heat_map=has_map)
            for label, has_map in zip(self.labels, (True, False), strict=True)
        ]
        service.propose(self.session, version=version, rows=rows)
        self.session.commit()
        self.version = version

    def address(self, label: str = "scratch") -> str:
        return f"/api/v1/projects/{self.project.slug}/images/{self.image.id}/heat-maps/{label}"


@pytest.fixture
def floor(session, settings):
    return Floor(session, settings)


def leased(client, floor):
    answer = client.post(f"/api/v1/projects/{floor.project.slug}/reviews/leases", json={})
    assert answer.status_code == 201, answer.text
    (item,) = answer.json()["items"]
    return item


def test_a_suggestion_names_its_map_and_the_map_is_a_grey_picture(client, floor):
    named = {one["label"]: one["heat_map"] for one in leased(client, floor)["suggestions"]}
    assert named == {"scratch": floor.address(), "dent": None}
    answer = client.get(named["scratch"])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert "private" in answer.headers["cache-control"]
    assert (np.asarray(Pillow.open(io.BytesIO(answer.content))) == HEAT).all()
    again = client.get(named["scratch"], headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(floor.address("dent")).status_code == 404
    assert client.get(floor.address("nothing")).status_code == 404


def test_a_control_photo_reveals_nothing_until_it_is_decided(client, session, settings):
    floor = Floor(session, settings, arm_draw=0.1)
    assert leased(client, floor)["suggestions"] == []
    assert client.get(floor.address()).status_code == 404
    annotations.annotate(
        session,
        project_id=floor.project.id,
        image_id=floor.image.id,
        author_id=make_user(session).id,
        values={floor.labels[0].id: LabelValue.PRESENT},
        is_complete=False,
    )
    session.commit()
    assert client.get(floor.address()).status_code == 200


def test_only_the_newest_version_explains(client, floor):
    first = client.get(floor.address()).headers["etag"]
    old = floor.version
    floor.suggest(number=2)
    assert floor.forgotten == {(floor.image.id, old.id)}
    assert client.get(floor.address()).headers["etag"] != first


def test_a_map_whose_file_is_gone_is_not_found(client, floor):
    heat_maps.remove(floor.store, floor.image.id)
    assert client.get(floor.address()).status_code == 404
    assert list(floor.store.keys("heat-maps")) == []


def test_a_file_of_maps_is_small(floor):
    noise = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    heat_maps.write(floor.store, floor.image.id, floor.version.id, {floor.labels[0].id: png(noise)})
    size = floor.store.size(heat_maps.key(floor.image.id, floor.version.id))
    assert size < 2_048, "even of a map that cannot be compressed"
