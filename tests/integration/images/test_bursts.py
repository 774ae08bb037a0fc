"""Bursts are found as photos are read: alike, within a minute, in one project."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from app.core.clock import now
from app.core.db import make_sessions
from app.images import bursts, service
from app.images.models import Image, ImageState
from app.images.service import Findings
from tests.factories import make_images, make_project

NOON = now().replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=3)
LOOK = 0b1011 << 50


@pytest.fixture
def read(session):
    """A function that does what a worker does with a photo of this look, so long after noon."""
    project = make_project(session)

    def one(seconds: float, look: int = LOOK, *, of=project, in_=session) -> Image:
        moment = NOON + timedelta(seconds=seconds)
        (image,) = make_images(in_, of, 1, captured_at=moment)
        image.state = ImageState.RECEIVED
        in_.flush()
        found = Findings(width=64, height=48, bit_depth=8, perceptual_hash=look)
        assert service.mark_ready(in_, of, image.id, found)
        in_.refresh(image)
        return image

    one.project = project
    return one


def test_photos_in_a_row_that_hardly_differ_are_one_burst(read):
    first = read(0)
    assert first.burst_id == first.id
    assert read(2, LOOK ^ 0b101).burst_id == first.id
    assert read(-59).burst_id == first.id, "the camera's clock counts, not the order of reading"


def test_others_are_not(read, session):
    first = read(0)
    others = {
        "later": read(61),
        "another look": read(1, LOOK ^ 0b111),
        "the opposite": read(1, ~LOOK),
        "elsewhere": read(1, of=make_project(session)),
    }
    for why, image in others.items():
        assert image.burst_id == image.id != first.id, why


def test_the_nearest_in_time_counts_and_a_burst_does_not_grow_for_ever(read):
    early, late = read(0), read(100)
    assert read(45).burst_id == early.id
    assert read(55).burst_id == late.id
    assert read(159).burst_id == late.id
    image = read(165)
    assert image.burst_id == image.id, "more than a minute after the first of its burst"


def test_a_deleted_photo_has_no_followers(read, session):
    first = read(0)
    first.deleted_at = now()
    session.flush()
    image = read(1)
    assert image.burst_id == image.id


def test_photos_read_at_the_same_time_find_each_other(read, session, engine):
    session.commit()
    with make_sessions(engine)() as early, make_sessions(engine)() as late:
        first = read(0, in_=early)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(read, 1, in_=late)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=1)
            early.commit()
            second = waiting.result(timeout=20)
        assert second.burst_id == first.id
        late.commit()


def test_photos_of_before_there_were_bursts_get_theirs(read, session):
    moments = (0, 1, 200)
    photos = [
        make_images(
            session,
            read.project,
            1,
            captured_at=NOON + timedelta(seconds=seconds),
            perceptual_hash=LOOK,
        )[0]
        for seconds in moments
    ]
    (unread,) = make_images(session, read.project, 1)
    assert bursts.join_late(session, limit=2) == 2
    assert bursts.join_late(session, limit=2) == 1
    assert bursts.join_late(session, limit=2) == 0
    session.expire_all()
    assert [one.burst_id for one in photos] == [photos[0].id, photos[0].id, photos[2].id]
    assert unread.burst_id is None
