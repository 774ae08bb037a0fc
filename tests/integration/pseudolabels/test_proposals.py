"""What is proposed to people, what is not, and what a newer version puts aside."""

import pytest

from app.annotations import service as annotations
from app.annotations.models import LabelValue
from app.images.models import Split
from app.projects import service as projects
from app.projects.models import Counter
from app.pseudolabels import service
from app.pseudolabels.models import PseudoLabelState
from app.pseudolabels.repository import Filter
from app.pseudolabels.rows import PredictionRow, Proposal
from app.training.models import ModelState
from tests.factories import make_images, make_project, make_user, make_version

PRESENT, ABSENT = LabelValue.PRESENT, LabelValue.ABSENT


@pytest.fixture
def project(session):
    return make_project(session)


@pytest.fixture
def labels(session, project):
    return projects.list_labels(session, project.id)


@pytest.fixture
def version(session, project, labels):
    return make_version(session, project, [label.id for label in labels])


def proposal(image, label, value=PRESENT, confidence=0.9):
    return Proposal(image.id, label.id, value, confidence, threshold=0.8)


def pending(session, project):
    return service.list_pseudo_labels(session, project, Filter(), limit=500).rows


def count_pending(session, project):
    return projects.counters(session, project.id).get(Counter.PENDING_PSEUDO_LABELS, 0)


def test_proposals_become_pending_pseudo_labels(session, project, labels, version):
    images = make_images(session, project, 2)
    rows = [proposal(images[0], labels[0]), proposal(images[1], labels[1], ABSENT, 0.99)]
    assert service.propose(session, version=version, rows=rows) == 2
    found = pending(session, project)
    assert [(p.value, p.confidence, p.threshold) for p in found] == [
        (ABSENT, 0.99, 0.8),
        (PRESENT, 0.9, 0.8),
    ]
    assert count_pending(session, project) == 2


def test_decided_labels_are_left_alone(session, project, labels, version):
    image = make_images(session, project, 1)[0]
    annotations.annotate(
        session,
        project_id=project.id,
        image_id=image.id,
        author_id=make_user(session).id,
        values={labels[0].id: ABSENT},
        is_complete=False,
    )
    rows = [proposal(image, label) for label in labels]
    assert service.propose(session, version=version, rows=rows) == 1
    assert [p.label_id for p in pending(session, project)] == [labels[1].id]


@pytest.mark.parametrize("split", [Split.EVALUATION, Split.TEST])
def test_nothing_is_proposed_where_labels_must_be_unbiased(
    session, project, labels, version, split
):
    image = make_images(session, project, 1, split=split)[0]
    assert service.propose(session, version=version, rows=[proposal(image, labels[0])]) == 0


def test_another_projects_images_are_left_alone(session, project, labels, version):
    stranger = make_images(session, make_project(session), 1)[0]
    assert service.propose(session, version=version, rows=[proposal(stranger, labels[0])]) == 0


def test_a_newer_version_supersedes_what_is_open(session, project, labels, version):
    images = make_images(session, project, 2)
    old = [proposal(images[0], labels[0]), proposal(images[1], labels[0])]
    service.propose(session, version=version, rows=old)
    newer = make_version(
        session, project, [x.id for x in labels], number=2, state=ModelState.CANDIDATE
    )
    rows = [proposal(images[0], labels[1], confidence=0.95)]
    service.propose(session, version=newer, rows=rows, image_ids=[x.id for x in images])
    assert [(p.model_version_id, p.label_id) for p in pending(session, project)] == [
        (newer.id, labels[1].id)
    ]
    put_aside = service.list_pseudo_labels(
        session, project, Filter(state=PseudoLabelState.SUPERSEDED)
    )
    assert len(put_aside.rows) == 2
    assert count_pending(session, project) == 1


def test_proposing_again_changes_the_open_one(session, project, labels, version):
    image = make_images(session, project, 1)[0]
    service.propose(session, version=version, rows=[proposal(image, labels[0])])
    again = [proposal(image, labels[0], ABSENT, 0.85)]
    assert service.propose(session, version=version, rows=again) == 0
    session.expire_all()
    assert [(p.value, p.confidence) for p in pending(session, project)] == [(ABSENT, 0.85)]
    assert count_pending(session, project) == 1


def test_a_proposal_brings_a_reviewed_image_back(session, project, labels, version):
    image = make_images(session, project, 1)[0]
    annotations.image_queue.mark_reviewed(session, [image.id])
    service.propose(session, version=version, rows=[proposal(image, labels[0])])
    session.refresh(image)
    assert image.reviewed_at is None


def test_labels_stated_meanwhile_are_not_listed(client, session, project, labels, version):
    image = make_images(session, project, 1)[0]
    service.propose(session, version=version, rows=[proposal(image, x) for x in labels])
    session.commit()
    path = f"/api/v1/projects/{project.slug}/images/{image.id}/annotations"
    answer = client.post(path, json={"values": {labels[0].key: "present"}})
    assert answer.status_code == 201, answer.text
    assert [p.label_id for p in pending(session, project)] == [labels[1].id]
    assert count_pending(session, project) == 1


def test_the_listing_pages_by_confidence_and_filters(session, project, labels, version):
    images = make_images(session, project, 6)
    steps = (0.90, 0.91, 0.92, 0.93, 0.94, 0.95)
    rows = [proposal(x, labels[0], confidence=step) for x, step in zip(images, steps, strict=True)]
    rows += [proposal(x, labels[1], ABSENT, confidence=0.90) for x in images]
    service.propose(session, version=version, rows=rows)

    def listed(wanted, **how):
        seen, cursor = [], None
        while True:
            page = service.list_pseudo_labels(
                session, project, wanted, cursor=cursor, limit=2, **how
            )
            seen += [p.confidence for p in page.rows]
            cursor = page.next_cursor
            if cursor is None:
                return seen

    assert len(listed(Filter())) == 12
    sure = listed(Filter(label_id=labels[0].id, min_confidence=0.92, max_confidence=0.94))
    assert sure == [0.94, 0.93, 0.92]
    assert listed(Filter(label_id=labels[0].id), ascending=True)[:2] == [0.90, 0.91]
    assert listed(Filter(value=ABSENT)) == [0.90] * 6
    assert listed(Filter(state=PseudoLabelState.ACCEPTED)) == []


def test_suggestions_about_control_images_are_not_listed(session, labels, project, version):
    project.control_rate = 0.2
    control, assisted = make_images(session, project, 2)
    control.arm_draw = 0.1
    session.flush()
    service.propose(
        session, version=version, rows=[proposal(x, labels[0]) for x in (control, assisted)]
    )
    assert [p.image_id for p in pending(session, project)] == [assisted.id]


def test_predictions_replace_earlier_ones_and_set_the_priority(session, project, version):
    images = make_images(session, project, 2)
    for uncertainty in (0.3, 0.7):
        rows = [PredictionRow(x.id, [0.1, 0.9], [1.0], uncertainty, 0.25) for x in images]
        service.store_predictions(session, version=version, rows=rows)
    found = service.predictions_of(session, version.id, [images[0].id])[images[0].id]
    assert (found.probabilities, found.contexts, found.uncertainty) == ([0.1, 0.9], [1.0], 0.7)
    session.refresh(images[0])
    assert (images[0].priority, images[0].margin, images[0].novelty) == (0.7, 0.25, None)


def test_a_candidates_predictions_leave_the_queue_as_it_is(session, project, labels):
    image = make_images(session, project, 1, priority=0.4)[0]
    candidate = make_version(session, project, [x.id for x in labels], state=ModelState.CANDIDATE)
    rows = [PredictionRow(image.id, [0.5, 0.5], [1.0], 0.9, 0.25)]
    service.store_predictions(session, version=candidate, rows=rows)
    session.refresh(image)
    assert image.priority == 0.4
