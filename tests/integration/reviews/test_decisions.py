"""What a review leaves behind, and what an undo takes back."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import func, select, update

from app.annotations import service as annotations
from app.annotations.models import Annotation, LabelValue
from app.core.clock import now
from app.core.errors import Conflict, Invalid, NotFound, NotPermitted
from app.images.models import Arm
from app.projects import service as projects
from app.projects.models import Counter
from app.pseudolabels import service as pseudolabels
from app.pseudolabels.models import PseudoLabelState
from app.reviews import service
from app.reviews.models import ReviewLease, Verdict
from app.reviews.service import LeaseLost
from tests.factories import make_images, make_user, make_version

PRESENT, ABSENT, UNSURE = LabelValue.PRESENT, LabelValue.ABSENT, LabelValue.UNSURE


@pytest.fixture
def image(session, desk):
    image = make_images(session, desk.project, 1)[0]
    desk.suggest(image, scratch=0.95, dent=0.85)
    return image


@pytest.fixture
def held(desk, image):
    return desk.lease()[0]


def known(desk, image):
    keys = annotations.label_keys(desk.session, desk.project.id)
    rows = annotations.truth(desk.session, [image.id])[image.id]
    return {keys[label_id]: row.value for label_id, row in rows.items()}


def states(desk, held):
    found = pseudolabels.lock_many(
        desk.session, desk.project.id, [row.id for row in held.suggestions]
    )
    return [found[row.id].state for row in held.suggestions]


def pending(desk):
    return projects.counters(desk.session, desk.project.id)[Counter.PENDING_PSEUDO_LABELS]


def age_leases(session, seconds):
    started = now() - timedelta(seconds=seconds)
    session.execute(update(ReviewLease).values(leased_at=started))
    session.expire_all()


def make_newer(session, desk):
    """A second version, whose suggestions `desk.suggest` makes from now on."""
    label_ids = [label.id for label in desk.labels.values()]
    desk.version = make_version(session, desk.project, label_ids, number=2, state="candidate")


def undo(desk, annotation=None):
    return service.undo(
        desk.session,
        project=desk.project,
        actor_id=desk.reviewer.id,
        annotation_id=annotation and annotation.id,
    )


def test_a_review_becomes_one_annotation_with_its_decisions(session, desk, image, held):
    age_leases(session, 60)
    scratch, dent = held.suggestions
    annotation = desk.submit(
        held,
        verdicts={scratch.id: Verdict.ACCEPT, dent.id: Verdict.REJECT},
        additions={desk.labels["rust"].id: PRESENT},
        active_ms=6000,
    )
    assert known(desk, image) == {"scratch": PRESENT, "dent": ABSENT, "rust": PRESENT}
    by_label = {d.label_id: d for d in service.decisions_of(session, annotation.id)}
    accepted = by_label[desk.labels["scratch"].id]
    assert (accepted.verdict, accepted.confidence, accepted.threshold, accepted.was_shown) == (
        Verdict.ACCEPT, 0.95, 0.8, True,
    )  # fmt: skip
    assert accepted.model_version_id == desk.version.id
    assert accepted.reviewer_id == desk.reviewer.id
    assert by_label[desk.labels["dent"].id].verdict == Verdict.REJECT
    assert by_label[desk.labels["rust"].id].verdict == Verdict.ADD
    assert sum(d.active_ms for d in by_label.values()) == annotation.active_ms == 6000
    assert states(desk, held) == [PseudoLabelState.ACCEPTED, PseudoLabelState.REJECTED]
    assert pending(desk) == 0
    assert service.leases_of(session, desk.project, desk.reviewer.id) == []
    assert desk.lease() == []


def test_a_control_image_is_answered_blindly_and_measures_the_model(session, make_desk):
    desk = make_desk(control_rate=1.0)
    image = make_images(session, desk.project, 1)[0]
    desk.suggest(image, scratch=0.95, dent=0.85)
    (held,) = desk.lease()
    annotation = desk.submit(held, additions={desk.labels["scratch"].id: PRESENT})
    decisions = service.decisions_of(session, annotation.id)
    assert {(d.label_id, d.verdict) for d in decisions} == {
        (desk.labels["scratch"].id, Verdict.ACCEPT),
        (desk.labels["dent"].id, Verdict.REJECT),
    }
    assert all(d.arm == Arm.CONTROL and not d.was_shown for d in decisions)
    assert (annotation.arm, annotation.arm_probability) == (Arm.CONTROL, 1.0)
    assert annotation.arm_drawn_at == held.lease.leased_at
    assert annotation.shown_model_version_id is None
    assert pending(desk) == 0


def test_what_was_known_before_is_no_miss_of_the_model(session, make_desk):
    """The desk restates everything it shows as known."""
    desk = make_desk(control_rate=1.0)
    image = make_images(session, desk.project, 1)[0]
    service.annotate(
        session,
        project_id=desk.project.id,
        image_id=image.id,
        author_id=make_user(session).id,
        values={desk.labels["scratch"].id: PRESENT, desk.labels["rust"].id: PRESENT},
        is_complete=False,
    )
    desk.suggest(image, dent=0.85)
    (held,) = desk.lease()
    annotation = desk.submit(held, additions={**held.known, desk.labels["rust"].id: ABSENT})
    decisions = service.decisions_of(session, annotation.id)
    assert {(d.label_id, d.verdict, d.value) for d in decisions} == {
        (desk.labels["dent"].id, Verdict.REJECT, ABSENT),
        (desk.labels["rust"].id, Verdict.ADD, ABSENT),
    }
    assert known(desk, image) == {"scratch": PRESENT, "dent": ABSENT, "rust": ABSENT}


def test_time_cannot_exceed_the_lease(session, desk, held):
    age_leases(session, 5)
    annotation = desk.submit(held, active_ms=3_600_000)
    assert 5000 <= annotation.active_ms < 60_000


def test_a_simulated_project_keeps_the_simulated_time(session, make_desk):
    desk = make_desk(simulated=True)
    desk.suggest(make_images(session, desk.project, 1)[0], scratch=0.9)
    assert desk.submit(desk.lease()[0], active_ms=9000).active_ms == 9000


def test_a_partial_review_leaves_other_labels_unknown(desk, image, held):
    desk.submit(held, is_complete=False)
    assert known(desk, image) == {"scratch": PRESENT, "dent": PRESENT}


def test_unsure_closes_a_suggestion_without_a_verdict(session, desk, held):
    annotation = desk.submit(
        held, verdicts={}, additions={desk.labels["scratch"].id: UNSURE}, is_complete=False
    )
    (decision,) = service.decisions_of(session, annotation.id)
    assert decision.verdict == Verdict.UNSURE
    assert states(desk, held) == [PseudoLabelState.SUPERSEDED, PseudoLabelState.PENDING]


def test_submitting_twice_counts_once(session, desk, held):
    first = desk.submit(held)
    assert desk.submit(held).id == first.id
    assert session.scalar(select(func.count()).select_from(Annotation)) == 1


def test_a_late_submit_conflicts_and_returns_the_draft(session, desk, held):
    draft = {"additions": {"rust": "present"}, "active_seconds": 4.2}
    session.execute(update(ReviewLease).values(expires_at=now() - timedelta(seconds=1)))
    session.expire_all()
    with pytest.raises(LeaseLost) as lost:
        desk.submit(held, draft=draft)
    assert lost.value.status == 409
    assert lost.value.extra["draft"] == draft


def test_a_suggestion_replaced_meanwhile_can_still_be_decided(session, desk, image, held):
    """A new model goes live between lease and submit: the person answers what they saw."""
    make_newer(session, desk)
    desk.suggest(image, scratch=0.99)
    annotation = desk.submit(held)
    versions = {d.model_version_id for d in service.decisions_of(session, annotation.id)}
    assert desk.version.id not in versions
    assert pending(desk) == 0


def test_only_shown_suggestions_can_be_decided(desk, held):
    with pytest.raises(Invalid):
        desk.submit(held, verdicts={uuid4(): Verdict.ACCEPT})


def test_a_contradiction_is_refused(desk, held):
    with pytest.raises(Invalid):
        desk.submit(held, additions={held.suggestions[0].label_id: ABSENT})


def test_undo_opens_the_suggestions_and_the_image_again(session, desk, image, held):
    annotation = desk.submit(held)
    undoing = service.undo(session, project=desk.project, actor_id=desk.reviewer.id)
    assert undoing.undoes_id == annotation.id
    assert known(desk, image) == {}
    assert states(desk, held) == [PseudoLabelState.PENDING] * 2
    assert pending(desk) == 2
    assert [item.image.id for item in desk.lease()] == [image.id]


def test_undo_leaves_what_a_newer_model_asks_alone(session, desk, image, held):
    desk.submit(held, is_complete=False, verdicts={held.suggestions[0].id: Verdict.ACCEPT})
    make_newer(session, desk)
    desk.suggest(image, dent=0.9)
    service.undo(session, project=desk.project, actor_id=desk.reviewer.id)
    assert states(desk, held) == [PseudoLabelState.PENDING, PseudoLabelState.SUPERSEDED]
    assert pending(desk) == 2


def test_undo_does_not_bring_back_what_a_newer_model_had_replaced(session, desk, image, held):
    make_newer(session, desk)
    desk.suggest(image, scratch=0.99)
    desk.submit(held)
    undo(desk)
    assert states(desk, held) == [PseudoLabelState.SUPERSEDED] * 2
    (waiting,) = pseudolabels.pending_for_images(session, [image.id])[image.id]
    assert (waiting.model_version_id, waiting.confidence) == (desk.version.id, 0.99)
    assert pending(desk) == 1


def test_undo_does_not_ask_what_others_have_stated_meanwhile(session, desk, image, held):
    mine = desk.submit(held)
    theirs = service.annotate(
        session,
        project_id=desk.project.id,
        image_id=image.id,
        author_id=make_user(session).id,
        values={desk.labels["scratch"].id: ABSENT},
        is_complete=False,
    )
    undo(desk, mine)
    assert states(desk, held) == [PseudoLabelState.SUPERSEDED, PseudoLabelState.PENDING]
    assert pending(desk) == 1
    service.undo(
        session,
        project=desk.project,
        actor_id=desk.reviewer.id,
        annotation_id=theirs.id,
        is_manager=True,
    )
    assert states(desk, held) == [PseudoLabelState.PENDING] * 2


def test_undo_leaves_what_another_statement_closed_alone(session, desk, image, held):
    scratch, dent = held.suggestions
    partial = {"is_complete": False, "verdicts": {scratch.id: Verdict.ACCEPT}}
    first = desk.submit(held, **partial)
    decided = service.decide(
        session,
        project=desk.project,
        items={dent.id: Verdict.REJECT},
        reviewer_id=desk.reviewer.id,
    )
    assert [outcome.error for outcome in decided] == [None]
    undo(desk, first)
    assert states(desk, held) == [PseudoLabelState.PENDING, PseudoLabelState.REJECTED]


def test_labels_in_the_archive_are_neither_asked_again_nor_shown(session, desk, image, held):
    desk.submit(held)
    desk.labels["scratch"].archived_at = now()
    session.flush()
    undo(desk)
    assert states(desk, held) == [PseudoLabelState.SUPERSEDED, PseudoLabelState.PENDING]
    (again,) = desk.lease()
    desk.labels["dent"].archived_at = now()
    session.flush()
    (reloaded,) = service.leases_of(session, desk.project, desk.reviewer.id)
    assert (len(again.suggestions), reloaded.suggestions) == (1, [])


def test_undo_passes_over_photos_that_were_deleted(session, desk, held):
    first = desk.submit(held)
    (other,) = make_images(session, desk.project, 1)
    desk.suggest(other, scratch=0.9)
    desk.submit(desk.lease()[0])
    other.deleted_at = now()
    session.flush()
    undoing = service.undo(session, project=desk.project, actor_id=desk.reviewer.id)
    assert undoing.undoes_id == first.id


def test_only_ones_own_work_can_be_undone(session, desk, held):
    annotation = desk.submit(held)
    other = make_user(session)
    with pytest.raises(NotPermitted):
        service.undo(session, project=desk.project, actor_id=other.id, annotation_id=annotation.id)
    with pytest.raises(NotFound):
        service.undo(session, project=desk.project, actor_id=other.id)


def test_many_decisions_each_get_a_result(session, make_desk):
    desk = make_desk(control_rate=0.2)
    first, second = make_images(session, desk.project, 2)
    (control,) = make_images(session, desk.project, 1, arm_draw=0.1)
    for each in (first, second, control):
        desk.suggest(each, scratch=0.9, dent=0.9)
    waiting = {x.id: pseudolabels.lock_open(session, x.id) for x in (first, second, control)}
    stranger = uuid4()
    verdicts = {row.id: Verdict.ACCEPT for row in waiting[first.id]}
    verdicts[waiting[second.id][0].id] = Verdict.REJECT
    verdicts[waiting[control.id][0].id] = Verdict.ACCEPT
    verdicts[stranger] = Verdict.ACCEPT

    def decide():
        return service.decide(
            session,
            project=desk.project,
            items=verdicts,
            reviewer_id=desk.reviewer.id,
            active_ms=3000,
        )

    outcomes = decide()
    kinds = [type(outcome.error) for outcome in outcomes]
    assert kinds == [type(None)] * 3 + [Conflict, NotFound]
    assert [outcome.value for outcome in outcomes[:3]] == [PRESENT, PRESENT, ABSENT]
    assert known(desk, first) == {"scratch": PRESENT, "dent": PRESENT}
    made = {outcome.annotation_id for outcome in outcomes if outcome.annotation_id}
    assert len(made) == 2
    assert [session.get(Annotation, i).active_ms for i in made] == [1500, 1500]
    assert pending(desk) == 3
    assert [type(o.error) for o in decide()] == [Conflict] * 4 + [NotFound]
