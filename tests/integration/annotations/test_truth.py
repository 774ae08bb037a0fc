"""What is known about an image after people, imports and models have spoken."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from sqlalchemy import select

from app.annotations import service
from app.annotations.models import ImageLabel, LabelValue, Source
from app.annotations.service import Statement
from app.core.clock import now
from app.core.db import make_sessions, transaction
from app.core.errors import Conflict, Invalid, NotFound
from app.projects import service as projects
from app.projects.models import Counter
from tests.factories import make_images, make_label, make_project, make_user

PRESENT, ABSENT, UNSURE = LabelValue.PRESENT, LabelValue.ABSENT, LabelValue.UNSURE


@pytest.fixture
def project(session):
    return make_project(session, labels=("scratch", "dent", "rust"))


@pytest.fixture
def image(session, project):
    return make_images(session, project, 1)[0]


@pytest.fixture
def author(session):
    return make_user(session)


@pytest.fixture
def say(session, project, image, author):
    """A function that states values by label key about the image."""
    labels = projects.labels_by_key(session, project.id)

    def say(is_complete=False, source=Source.HUMAN, **values):
        return service.annotate(
            session,
            project_id=project.id,
            image_id=image.id,
            author_id=author.id,
            values={labels[key].id: value for key, value in values.items()},
            is_complete=is_complete,
            source=source,
        )

    return say


def known(session, project, image):
    keys = service.label_keys(session, project.id)
    rows = service.truth(session, [image.id])[image.id]
    return {keys[label_id]: row.value for label_id, row in rows.items()}


def test_unmentioned_labels_stay_unknown(session, project, image, say):
    say(scratch=PRESENT)
    assert known(session, project, image) == {"scratch": PRESENT}


def test_a_complete_statement_makes_unmentioned_labels_absent(session, project, image, say):
    annotation = say(is_complete=True, scratch=PRESENT)
    assert known(session, project, image) == {"scratch": PRESENT, "dent": ABSENT, "rust": ABSENT}
    assert annotation.finishes_image
    session.refresh(image)
    assert image.reviewed_at is not None


def test_partial_statements_finish_an_image_together(session, image, say):
    assert not say(scratch=PRESENT, dent=ABSENT).finishes_image
    assert say(rust=UNSURE).finishes_image


def test_the_newest_human_statement_wins(session, project, image, say):
    say(scratch=PRESENT, dent=PRESENT)
    say(scratch=ABSENT)
    assert known(session, project, image) == {"scratch": ABSENT, "dent": PRESENT}


def test_people_come_before_imports_and_imports_before_models(session, project, image, say):
    say(source=Source.AUTO, scratch=ABSENT, dent=ABSENT, rust=ABSENT)
    say(source=Source.IMPORT, scratch=UNSURE, dent=PRESENT)
    say(scratch=PRESENT)
    say(source=Source.IMPORT, scratch=ABSENT)
    say(source=Source.AUTO, dent=ABSENT)
    assert known(session, project, image) == {"scratch": PRESENT, "dent": PRESENT, "rust": ABSENT}


def test_a_label_added_later_is_unknown_on_finished_images(session, project, image, say):
    say(is_complete=True)
    make_label(session, project, "crack", position=9)
    service.rebuild_truth(session, project.id)
    assert "crack" not in known(session, project, image)


def test_undo_brings_back_what_held_before(session, project, image, say, author):
    say(scratch=PRESENT)
    newer = say(is_complete=True)
    undoing = service.undo(session, newer.id, actor_id=author.id)
    assert known(session, project, image) == {"scratch": PRESENT}
    session.refresh(image)
    assert image.reviewed_at is None
    assert [a.id for a in service.history(session, image.id)][:2] == [undoing.id, newer.id]


def test_an_annotation_is_undone_once(session, say, author):
    annotation = say(scratch=PRESENT)
    undoing = service.undo(session, annotation.id, actor_id=author.id)
    with pytest.raises(Conflict):
        service.undo(session, annotation.id, actor_id=author.id)
    with pytest.raises(Conflict):
        service.undo(session, undoing.id, actor_id=author.id)


def test_what_was_said_about_a_deleted_image_is_not_undone(session, project, image, say, author):
    annotation = say(scratch=PRESENT)
    image.deleted_at = now()
    session.flush()
    with pytest.raises(NotFound):
        service.undo(session, annotation.id, actor_id=author.id)
    assert projects.counters(session, project.id)[Counter.ANNOTATED] == 1


def test_of_two_undos_at_once_one_conflicts(session, engine, say, author):
    annotation_id, author_id = say(scratch=PRESENT).id, author.id
    session.commit()
    sessions, start = make_sessions(engine), threading.Barrier(2)

    def undo(_):
        start.wait()
        try:
            with transaction(sessions) as own:
                service.undo(own, annotation_id, actor_id=author_id)
        except Conflict:
            return "conflict"
        return "undone"

    with ThreadPoolExecutor() as pool:
        assert sorted(pool.map(undo, range(2))) == ["conflict", "undone"]


def test_another_projects_image_is_not_found(session, author, image):
    other = make_project(session)
    with pytest.raises(NotFound):
        service.annotate(
            session,
            project_id=other.id,
            image_id=image.id,
            author_id=author.id,
            values={},
            is_complete=True,
        )


def test_a_statement_of_nothing_is_refused(say):
    with pytest.raises(Invalid):
        say()


def test_annotated_images_are_counted(session, project, say, author):
    def count():
        return projects.counters(session, project.id).get(Counter.ANNOTATED, 0)

    first = say(scratch=PRESENT)
    say(source=Source.AUTO, dent=ABSENT)
    assert count() == 1
    service.undo(session, first.id, actor_id=author.id)
    assert count() == 0


def test_an_import_reports_each_item(session, project, author):
    images = make_images(session, project, 3)
    stranger = uuid4()
    outcomes = service.annotate_many(
        session,
        project_id=project.id,
        author_id=author.id,
        statements=[
            Statement(images[0].id, {"scratch": PRESENT}, is_complete=True),
            Statement(images[1].id, {"scrath": PRESENT}),
            Statement(stranger, {"scratch": PRESENT}),
            Statement(images[0].id, {"scratch": ABSENT}),
        ],
    )
    assert [type(outcome.error) for outcome in outcomes] == [
        type(None), Invalid, NotFound, type(None),
    ]  # fmt: skip
    assert "scrath" in outcomes[1].error.detail
    assert known(session, project, images[0])["scratch"] == ABSENT
    assert known(session, project, images[1]) == {}


@pytest.mark.parametrize("seed", range(8))
def test_the_projection_equals_the_rebuild_and_the_rule(session, project, author, seed):
    """Whatever is said and undone in whatever order, three ways to the truth agree."""
    pick = random.Random(seed)
    images = make_images(session, project, 3)
    labels = [label.id for label in projects.list_labels(session, project.id)]
    spoken = []
    for _ in range(30):
        if spoken and pick.random() < 0.25:
            undone = spoken.pop(pick.randrange(len(spoken)))
            service.undo(session, undone[0].id, actor_id=author.id)
            continue
        image, source = pick.choice(images), pick.choice(list(Source))
        values = {k: pick.choice(list(LabelValue)) for k in labels if pick.random() < 0.5}
        is_complete = pick.random() < 0.3 or not values
        annotation = service.annotate(
            session,
            project_id=project.id,
            image_id=image.id,
            author_id=author.id,
            values=values,
            is_complete=is_complete,
            source=source,
        )
        stated = dict.fromkeys(labels, ABSENT) | values if is_complete else values
        spoken.append((annotation, image.id, source, stated))
    by_rule = _truth_by_rule(spoken)
    assert _stored(session, project) == by_rule
    service.rebuild_truth(session, project.id)
    assert _stored(session, project) == by_rule


def _truth_by_rule(spoken):
    """The rule of the design, written plainly: models first, then imports, then people."""
    truth = {}
    for speaker in (Source.AUTO, Source.IMPORT, Source.HUMAN):
        for annotation, image_id, source, stated in spoken:
            if source == speaker:
                for label_id, value in stated.items():
                    truth[image_id, label_id] = (value, annotation.id)
    return truth


def _stored(session, project):
    rows = session.execute(
        select(
            ImageLabel.image_id, ImageLabel.label_id, ImageLabel.value, ImageLabel.annotation_id
        ).where(ImageLabel.project_id == project.id)
    )
    return {(image, label): (value, annotation) for image, label, value, annotation in rows}
