"""Doubtful answers are listed as long as people say the same."""

import pytest

from app.annotations.models import LabelValue
from app.core.storage import make_store
from app.training import doubts
from app.training.doubts import Doubt
from app.training.models import ModelState


@pytest.fixture
def version(line):
    return line.version(1, ModelState.LIVE)


def test_what_people_changed_since_is_left_out(line, version, client, settings):
    changed, deleted, kept = line.images(3)
    for image in (changed, deleted, kept):
        line.state(image, scratch="present", dent="absent")
    scratch, dent = line.labels
    found = [
        Doubt(image_id=image.id, label_id=scratch.id, value=LabelValue.PRESENT, probability=p)
        for image, p in ((kept, 0.01), (changed, 0.02), (deleted, 0.03))
    ]
    found.append(
        Doubt(image_id=changed.id, label_id=dent.id, value=LabelValue.ABSENT, probability=0.04)
    )
    doubts.keep(make_store(settings), version.weights_prefix, found)
    line.session.commit()
    url = f"/api/v1/projects/{line.project.slug}"
    listed = f"{url}/models/{version.id}/doubtful-labels"
    assert [item["probability"] for item in client.get(listed).json()["items"]] == [
        0.01,
        0.02,
        0.03,
        0.04,
    ]
    line.state(changed, scratch="absent")
    line.session.commit()
    etag = client.get(f"{url}/images/{deleted.id}").headers["etag"]
    gone = client.delete(f"{url}/images/{deleted.id}", headers={"if-match": etag})
    assert gone.status_code < 300, gone.text
    assert client.get(listed).json() == {
        "items": [
            {
                "image_id": str(kept.id),
                "label": "scratch",
                "value": "present",
                "probability": 0.01,
            },
            {
                "image_id": str(changed.id),
                "label": "dent",
                "value": "absent",
                "probability": 0.04,
            },
        ],
        "next_cursor": None,
    }


def test_a_version_that_looked_for_none_has_none(line, version, client):
    line.session.commit()
    url = f"/api/v1/projects/{line.project.slug}/models/{version.id}/doubtful-labels"
    assert client.get(url).json() == {"items": [], "next_cursor": None}
