"""Acceptance without a person: contracts, audits that end them, and what goes back to people."""

from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from app.annotations import service as annotations
from app.annotations.models import Annotation, LabelValue, Source
from app.core.errors import Conflict, Invalid
from app.images.models import Arm, Image
from app.kpis.reading import Reading
from app.kpis.schemas import KpiQuery
from app.projects import service as projects
from app.projects.models import Counter
from app.pseudolabels import acceptance
from app.pseudolabels import service as pseudolabels
from app.pseudolabels.models import AcceptanceContract, ContractEnd, PseudoLabel
from app.pseudolabels.rows import Proposal
from app.reviews import audits, service
from app.reviews.audits import Audit
from app.reviews.models import Decision, QueueOrder, Verdict
from tests.factories import make_images, make_version
from tests.integration.reviews.conftest import Desk

LABELS = ("scratch", "dent", "rust")
PROMISED = 0.9
ALLOWED = 0.05


def promise(threshold: float = PROMISED) -> dict[str, object]:
    """The card of a version that promises at most 5 % wrong about every answer."""
    made = [{"value": value, "alpha": ALLOWED, "threshold": threshold} for value in (0, 1)]
    return {"labels": [{"key": key} for key in LABELS], "promises": dict.fromkeys(LABELS, made)}


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    desk = make_desk(stage="auto", control_rate=0.2, audit_rate=0.25)
    desk.version.card = promise()
    desk.session.flush()
    return desk


def start(desk: Desk, *keys: str, allowed: float = ALLOWED) -> list[AcceptanceContract]:
    return [
        acceptance.start(desk.session, desk.project, desk.labels[key], allowed, actor_id=None)
        for key in keys
    ]


def sweep(desk: Desk) -> None:
    """As the worker's sweep does, until nothing is left."""
    acceptance.forget_idle(desk.session)
    while acceptance.take_back(desk.session) or acceptance.apply_contracts(desk.session):
        desk.session.flush()


def suggest(desk: Desk, image: Image, **confidences: float) -> None:
    """Let the live model suggest, and accept at once what it may."""
    desk.suggest(image, **confidences)
    acceptance.accept_new(desk.session, desk.version, [image.id])


def states(desk: Desk, image: Image) -> dict[str, str]:
    keys = {label.id: key for key, label in desk.labels.items()}
    rows = select(PseudoLabel).where(PseudoLabel.image_id == image.id)
    found = desk.session.scalars(rows.execution_options(populate_existing=True))
    return {keys[row.label_id]: row.state for row in found}


def truth(desk: Desk, image: Image) -> dict[str, tuple[str, str]]:
    keys = {label.id: key for key, label in desk.labels.items()}
    known = annotations.truth(desk.session, [image.id])[image.id]
    return {keys[label_id]: (row.value, row.source) for label_id, row in known.items()}


def is_in_queue(desk: Desk, image: Image) -> bool:
    desk.session.refresh(image)
    return image.reviewed_at is None


def pending(desk: Desk) -> int:
    return projects.counters(desk.session, desk.project.id).get(Counter.PENDING_PSEUDO_LABELS, 0)


def audit_image(desk: Desk) -> Image:
    """After the control arm's fifth comes the audit sample, a quarter of the rest."""
    return make_images(desk.session, desk.project, 1, arm_draw=0.3)[0]


def plain_image(desk: Desk) -> Image:
    return make_images(desk.session, desk.project, 1, arm_draw=0.5)[0]


def audited(desk: Desk, image: Image, **values: LabelValue) -> Annotation:
    """A reviewer answers an image of the audit sample completely."""
    [held] = desk.lease(image_ids=(image.id,))
    assert held.lease.arm == Arm.AUDIT
    stated = {desk.labels[key].id: value for key, value in values.items()}
    return desk.submit(held, additions=stated)


def test_what_is_confident_enough_is_accepted_as_the_model_says_it(desk):
    start(desk, "scratch", "dent")
    image = plain_image(desk)
    suggest(desk, image, scratch=0.95, dent=0.85, rust=0.99)
    assert states(desk, image) == {"scratch": "auto_accepted", "dent": "pending", "rust": "pending"}
    assert truth(desk, image) == {"scratch": ("present", "auto")}
    assert pending(desk) == 2
    [held] = desk.lease()
    assert held.image.id == image.id
    assert held.known == {desk.labels["scratch"].id: LabelValue.PRESENT}
    assert {row.label_id for row in held.suggestions} == {
        desk.labels["dent"].id,
        desk.labels["rust"].id,
    }


def test_an_image_on_which_nothing_is_open_leaves_the_queue_and_counts_as_time_saved(desk):
    start(desk, *LABELS)
    image = plain_image(desk)
    suggest(desk, image, scratch=0.95, dent=0.95, rust=0.99)
    assert not is_in_queue(desk, image)
    assert desk.lease() == []
    evidence = Reading(desk.session, desk.project, KpiQuery()).evidence
    assert sum(row.count for row in evidence.cleared) == 1


def test_the_last_open_suggestion_clears_an_image_whoever_answers_it(desk):
    start(desk, "scratch", "dent")
    image = plain_image(desk)
    suggest(desk, image, scratch=0.95, dent=0.95, rust=0.99)
    rust = desk.session.scalars(
        select(PseudoLabel).where(PseudoLabel.label_id == desk.labels["rust"].id)
    ).one()
    assert is_in_queue(desk, image)
    service.decide(
        desk.session,
        project=desk.project,
        items={rust.id: Verdict.ACCEPT},
        reviewer_id=desk.reviewer.id,
    )
    assert not is_in_queue(desk, image)


def test_nothing_is_accepted_on_the_control_arm(desk):
    start(desk, *LABELS)
    [image] = make_images(desk.session, desk.project, 1, arm_draw=0.1)
    suggest(desk, image, scratch=0.99)
    sweep(desk)
    assert states(desk, image) == {"scratch": "pending"}


@pytest.mark.parametrize("stage", ["assist", "manual"])
def test_nothing_is_accepted_in_another_stage(desk, stage):
    start(desk, "scratch")
    desk.project.stage = stage
    image = plain_image(desk)
    suggest(desk, image, scratch=0.99)
    sweep(desk)
    assert states(desk, image) == {"scratch": "pending"}


def test_nothing_is_accepted_that_is_not_promised(desk):
    start(desk, "scratch", allowed=0.01)
    image = plain_image(desk)
    suggest(desk, image, scratch=1.0)
    sweep(desk)
    assert states(desk, image) == {"scratch": "pending"}


def test_what_was_open_before_is_accepted_by_the_sweep_in_batches(desk, monkeypatch):
    monkeypatch.setattr(acceptance, "BATCH", 3)
    images = make_images(desk.session, desk.project, 8)
    for image in images:
        desk.suggest(image, scratch=0.95)
    start(desk, "scratch")
    assert acceptance.apply_contracts(desk.session)
    assert sum(states(desk, x) == {"scratch": "auto_accepted"} for x in images) == 3
    sweep(desk)
    assert all(states(desk, image) == {"scratch": "auto_accepted"} for image in images)
    assert pending(desk) == 0
    assert not acceptance.apply_contracts(desk.session)


def test_a_project_that_begins_again_accepts_what_came_meanwhile(desk):
    start(desk, "scratch")
    sweep(desk)
    desk.project.stage = "assist"
    sweep(desk)
    image = plain_image(desk)
    suggest(desk, image, scratch=0.95)
    desk.project.stage = "auto"
    sweep(desk)
    assert states(desk, image) == {"scratch": "auto_accepted"}


def test_a_deleted_photo_does_not_hold_up_the_sweep(desk):
    gone, image = plain_image(desk), plain_image(desk)
    for one in (gone, image):
        suggest(desk, one, scratch=0.95)
    gone.deleted_at = gone.created_at
    start(desk, "scratch")
    sweep(desk)
    assert states(desk, gone) == {"scratch": "pending"}
    assert states(desk, image) == {"scratch": "auto_accepted"}


def test_an_audit_is_blind(desk):
    start(desk, "scratch")
    image = audit_image(desk)
    suggest(desk, image, scratch=0.95, dent=0.85)
    [held] = desk.lease()
    assert held.image.id == image.id
    assert held.suggestions == []
    assert held.known == {}
    assert held.lease.arm == Arm.AUDIT
    assert held.lease.arm_probability == pytest.approx(0.8 * 0.25)


def test_an_accepted_image_of_the_audit_sample_waits_until_somebody_has_checked_it(desk):
    start(desk, *LABELS)
    image = audit_image(desk)
    suggest(desk, image, scratch=0.95, dent=0.95, rust=0.95)
    assert is_in_queue(desk, image)
    audited(desk, image, scratch=LabelValue.PRESENT, dent=LabelValue.PRESENT)
    assert not is_in_queue(desk, image)
    assert truth(desk, image)["rust"] == ("absent", "human")
    assert states(desk, image) == {"scratch": "accepted", "dent": "accepted", "rust": "rejected"}
    found = {one.label.key: one.audit for one in audits.overview(desk.session, desk.project)}
    assert found == {"scratch": Audit(1, 0), "dent": Audit(1, 0), "rust": Audit(1, 1)}


def test_audits_come_first_when_they_are_asked_for_and_look_like_the_control_arm(desk):
    start(desk, "scratch")
    image, other = audit_image(desk), plain_image(desk)
    [control] = make_images(desk.session, desk.project, 1, arm_draw=0.1)
    for one in (image, other, control):
        suggest(desk, one, scratch=0.95, dent=0.85)
    held = desk.lease(5, order=QueueOrder.AUDIT)
    assert {one.image.id for one in held} == {image.id, control.id}
    assert [(one.suggestions, one.known) for one in held] == [([], {})] * 2


def test_audits_are_mixed_into_every_order(desk):
    start(desk, "scratch")
    images = [audit_image(desk) for _ in range(30)] + [plain_image(desk) for _ in range(70)]
    for image in images:
        suggest(desk, image, scratch=0.95, dent=0.85)
    arms = [one.lease.arm for one in desk.lease(50)]
    # A fifth of what is not control, of which there is none here: 10 ± 5.
    assert 3 <= arms.count(Arm.AUDIT) <= 22
    assert arms.count(Arm.ASSISTED) == 50 - arms.count(Arm.AUDIT)


def test_who_changes_what_a_model_decided_is_believed(desk):
    start(desk, "scratch")
    image = plain_image(desk)
    suggest(desk, image, scratch=0.95, dent=0.85)
    [held] = desk.lease()
    desk.submit(held, additions={desk.labels["scratch"].id: LabelValue.ABSENT})
    assert truth(desk, image)["scratch"] == ("absent", "human")
    assert states(desk, image) == {"scratch": "rejected", "dent": "accepted"}


def test_what_people_stated_themselves_counts_as_accepted_no_more(desk):
    start(desk, "scratch", "dent")
    image = plain_image(desk)
    suggest(desk, image, scratch=0.95, dent=0.95, rust=0.85)
    [held] = desk.lease()
    said = desk.submit(held)
    assert states(desk, image) == {
        "scratch": "superseded",
        "dent": "superseded",
        "rust": "accepted",
    }
    assert [one.accepted for one in audits.overview(desk.session, desk.project)] == [0, 0, 0]
    service.undo(
        desk.session, project=desk.project, actor_id=desk.reviewer.id, annotation_id=said.id
    )
    assert states(desk, image) == {
        "scratch": "auto_accepted",
        "dent": "auto_accepted",
        "rust": "pending",
    }


def test_an_undone_audit_counts_no_more_and_is_due_again(desk):
    start(desk, "scratch")
    image = audit_image(desk)
    suggest(desk, image, scratch=0.95)
    said = audited(desk, image, scratch=LabelValue.ABSENT)
    service.undo(
        desk.session, project=desk.project, actor_id=desk.reviewer.id, annotation_id=said.id
    )
    assert states(desk, image) == {"scratch": "auto_accepted"}
    assert truth(desk, image) == {"scratch": ("present", "auto")}
    assert next(one.audit for one in audits.overview(desk.session, desk.project)) == Audit()
    assert [one.image.id for one in desk.lease(order=QueueOrder.AUDIT)] == [image.id]


def test_audits_that_refute_a_contract_end_it_and_give_everything_back(desk):
    [contract] = start(desk, "scratch")
    start(desk, "dent")
    untouched = plain_image(desk)
    suggest(desk, untouched, scratch=0.95, dent=0.95)
    for wrong in range(6):
        image = audit_image(desk)
        suggest(desk, image, scratch=0.95, dent=0.95)
        audited(desk, image, scratch=LabelValue.ABSENT, dent=LabelValue.PRESENT)
        if wrong == 0:
            assert contract.ended_at is None
    assert contract.end == ContractEnd.BREACHED
    assert contract.breached_by_id == desk.version.id
    sweep(desk)
    assert states(desk, untouched) == {"scratch": "pending", "dent": "auto_accepted"}
    assert truth(desk, untouched) == {"dent": ("present", "auto")}
    assert is_in_queue(desk, untouched)
    later = plain_image(desk)
    suggest(desk, later, scratch=0.99)
    sweep(desk)
    assert states(desk, later) == {"scratch": "pending"}


def test_what_audits_refuted_may_not_begin_again_with_the_same_version(desk):
    [contract] = start(desk, "scratch")
    acceptance.end_breached(desk.session, contract, desk.version.id)
    with pytest.raises(Conflict, match="Train again"):
        start(desk, "scratch")
    start(desk, "scratch", allowed=0.1)
    desk.version.state = "retired"
    desk.session.flush()
    labels = [label.id for label in desk.labels.values()]
    make_version(desk.session, desk.project, labels, number=2, card=promise())
    start(desk, "scratch")


def test_taking_back_undoes_the_models_statements_and_no_others(desk):
    start(desk, "scratch", "dent")
    image, decided = plain_image(desk), plain_image(desk)
    for one in (image, decided):
        suggest(desk, one, scratch=0.95, dent=0.95)
    [held] = desk.lease(image_ids=(decided.id,))
    desk.submit(held, additions={desk.labels["scratch"].id: LabelValue.ABSENT})
    acceptance.stop(
        desk.session, desk.project, desk.labels["scratch"], takes_back=True, actor_id=None
    )
    sweep(desk)
    assert truth(desk, image) == {"dent": ("present", "auto")}
    assert truth(desk, decided)["scratch"] == ("absent", "human")
    assert not is_in_queue(desk, decided)
    assert states(desk, image) == {"scratch": "pending", "dent": "auto_accepted"}
    undone = select(func.count()).where(
        Annotation.undoes_id.is_not(None), Annotation.source == Source.AUTO
    )
    assert desk.session.scalar(undone) >= 1


def test_what_was_taken_back_is_no_audits_business(desk):
    start(desk, "scratch", "dent")
    image = audit_image(desk)
    suggest(desk, image, scratch=0.95, dent=0.95)
    acceptance.stop(
        desk.session, desk.project, desk.labels["scratch"], takes_back=True, actor_id=None
    )
    sweep(desk)
    audited(desk, image, dent=LabelValue.PRESENT)
    found = {one.label.key: one.audit for one in audits.overview(desk.session, desk.project)}
    assert (found["scratch"], found["dent"]) == (Audit(), Audit(1, 0))


def test_stopping_alone_keeps_what_was_accepted(desk):
    start(desk, "scratch")
    image = plain_image(desk)
    suggest(desk, image, scratch=0.95)
    acceptance.stop(
        desk.session, desk.project, desk.labels["scratch"], takes_back=False, actor_id=None
    )
    sweep(desk)
    assert states(desk, image) == {"scratch": "auto_accepted"}
    with pytest.raises(Conflict):
        acceptance.stop(
            desk.session, desk.project, desk.labels["scratch"], takes_back=False, actor_id=None
        )


def test_an_error_rate_that_no_version_promises_is_refused(desk):
    with pytest.raises(Invalid):
        start(desk, "scratch", allowed=0.5)


def test_missed_defects_of_images_accepted_as_clean_are_counted(desk):
    start(desk, *LABELS)
    for value in (LabelValue.ABSENT, LabelValue.PRESENT):
        image = audit_image(desk)
        rows = [
            Proposal(image.id, label.id, LabelValue.ABSENT, confidence=0.97, threshold=0.9)
            for label in desk.labels.values()
        ]
        pseudolabels.propose(desk.session, version=desk.version, rows=rows)
        acceptance.accept_new(desk.session, desk.version, [image.id])
        audited(desk, image, rust=value)
    assert audits.of_clean_images(desk.session, desk.project.id) == Audit(2, 1)


def test_automatic_labels_teach_nothing(desk):
    start(desk, *LABELS)
    image = plain_image(desk)
    suggest(desk, image, scratch=0.95)
    assert annotations.decided_labels(desk.session, desk.project.id, [image.id]) == {}
    assert desk.session.scalar(select(func.count()).select_from(Decision)) == 0
