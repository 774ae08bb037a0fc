"""Every figure traced to the rows behind it, from reviews as people make them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import func, select, update

from app.annotations import service as annotations
from app.annotations.models import Annotation, LabelValue, Source
from app.core.clock import now
from app.images.models import Arm
from app.kpis.repository import Period, finished_images
from app.pseudolabels import acceptance
from app.pseudolabels.models import PseudoLabel, PseudoLabelState
from app.reviews import service as reviews
from app.reviews.models import Verdict
from app.training.models import ModelState
from tests.factories import make_user, make_version
from tests.integration.kpis.conftest import CONTROL


def whole_time(project):
    start = now() - timedelta(days=1)
    return Period(project.id, start, start + timedelta(days=2), project.time_zone)


def label_of(kpis, key="scratch"):
    return next(label for label in kpis.labels if label.label == key)


def test_the_time_saved_is_that_of_the_rows_behind_it(make_office):
    office = make_office(hourly_cost=Decimal(3600), currency="EUR")
    for seconds in (10, 20):
        office.review(office.photo(CONTROL, scratch=0.9), seconds=seconds)
    for seconds in (4, 6, 5):
        office.review(office.photo(scratch=0.9), seconds=seconds)
    office.review(office.photo(scratch=0.9))  # without a time: in no figure of time
    kpis = office.kpis()

    rows = select(Annotation.arm, func.count(), func.sum(Annotation.active_ms)).where(
        Annotation.active_ms.is_not(None)
    )
    spent = {arm: (n, int(ms) / 1000) for arm, n, ms in office.session.execute(
        rows.group_by(Annotation.arm)
    )}  # fmt: skip
    assert spent == {"control": (2, 30), "assisted": (3, 15)}
    saved = kpis.time_saved
    assert (saved.control_mean_seconds, saved.assisted_mean_seconds) == (15, 5)
    assert (saved.control_images, saved.assisted_images) == (2, 3)
    assert saved.hours * 3600 == pytest.approx(3 * 15 - 15)
    assert (saved.money, saved.currency) == (pytest.approx(30), "EUR")
    assert saved.low_hours < saved.hours < saved.high_hours
    assert saved.low_money == pytest.approx(saved.low_hours * 3600)
    assert (kpis.finished_images, kpis.active_hours * 3600) == (6, pytest.approx(45))
    assert kpis.images_per_hour == pytest.approx(5 * 3600 / 45)
    (today,) = kpis.series
    assert (today.control_images, today.assisted_images, today.finished_images) == (2, 3, 6)
    assert today.saved_hours == pytest.approx(saved.hours)
    assert kpis.simulated


def test_without_a_control_image_nothing_is_claimed(office):
    office.review(office.photo(scratch=0.9), seconds=3)
    kpis = office.kpis()
    assert kpis.time_saved is None
    assert kpis.series[0].saved_hours is None


def test_an_empty_project_has_no_figures_and_no_errors(make_office):
    kpis = make_office(simulated=False).kpis()
    assert not kpis.simulated
    assert (kpis.time_saved, kpis.acceptance_rate, kpis.agreement) == (None, None, None)
    assert (kpis.finished_images, kpis.active_hours, kpis.images_per_hour) == (0, 0, None)
    assert (kpis.series, kpis.queue.oldest_seconds) == ([], None)
    assert kpis.detection_gain.map.gain is None


def test_precision_and_recall_come_from_hidden_suggestions_only(office):
    right, wrong = (office.photo(CONTROL, scratch=0.9) for _ in range(2))
    missed = office.photo(CONTROL, dent=0.9)
    office.review(right, present=["scratch"])
    office.review(wrong)
    office.review(missed, present=["scratch"])
    for _ in range(5):  # shown and accepted: this flatters, so it stays out
        office.review(office.photo(scratch=0.9))
    kpis = office.kpis()
    scratch = label_of(kpis)
    assert (scratch.precision.value, scratch.precision.count) == (1 / 2, 2)
    assert (scratch.recall.value, scratch.recall.count) == (1 / 2, 2)
    assert (scratch.decided_precision.value, scratch.decided_precision.count) == (6 / 7, 7)
    assert (scratch.acceptance_rate.value, scratch.acceptance_rate.count) == (1, 5)
    dent = label_of(kpis, "dent")
    assert (dent.precision.value, dent.recall) == (0, None)
    assert (kpis.acceptance_rate.value, kpis.acceptance_rate.count) == (1, 5)
    assert label_of(kpis, "rust").precision is None


def test_acceptance_counts_what_was_shown(office):
    held = office.hold(office.photo(scratch=0.9, dent=0.8))
    scratch, dent = held.suggestions
    office.desk.submit(
        held,
        verdicts={scratch.id: Verdict.ACCEPT, dent.id: Verdict.REJECT},
        additions=office.values("rust"),
    )
    kpis = office.kpis()
    assert (kpis.acceptance_rate.value, kpis.acceptance_rate.count) == (1 / 2, 2)
    (today,) = kpis.series
    assert (today.accepted, today.rejected, today.added) == (1, 1, 1)


def test_undo_takes_a_review_out_of_every_figure(office):
    office.review(office.photo(CONTROL, scratch=0.9), seconds=10)
    before = office.kpis()
    undone = office.photo(scratch=0.9)
    office.review(undone, seconds=2)
    assert office.kpis().finished_images == 2
    reviews.undo(office.session, project=office.project, actor_id=office.desk.reviewer.id)
    after = office.kpis()
    assert after.time_saved == before.time_saved
    assert (after.finished_images, after.active_hours) == (1, before.active_hours)
    assert after.acceptance_rate is None
    assert after.labels == before.labels
    assert after.series == before.series
    office.review(undone, seconds=4)
    again = office.kpis()
    assert again.time_saved.assisted_mean_seconds == 4
    assert again.acceptance_rate.count == 1


def test_an_image_that_an_undo_opened_again_is_not_finished(office):
    image, other = office.photo(), office.photo()
    first = office.state(image, "scratch", complete=False, active_ms=1000)
    office.state(image, "dent", "rust", complete=False, active_ms=1000)
    office.state(other, active_ms=1000)
    assert office.kpis().finished_images == 2
    annotations.undo(office.session, first.id, actor_id=office.desk.reviewer.id)
    assert image.reviewed_at is None
    assert office.kpis().finished_images == 1
    office.state(image, "scratch", complete=False, active_ms=5000)
    assert office.kpis().finished_images == 2
    found = finished_images(office.session, whole_time(office.project))
    assert sorted(second for group in found for second in group.seconds) == [1, 6]


def test_an_image_stays_finished_when_what_was_undone_is_known_otherwise(office):
    image = office.photo()
    first = office.state(image, "scratch", complete=False)
    office.state(image)
    annotations.undo(office.session, first.id, actor_id=office.desk.reviewer.id)
    assert office.kpis().finished_images == 1


def test_an_image_of_several_steps_is_timed_as_a_whole(office):
    image = office.photo(scratch=0.9)
    office.review(office.photo(CONTROL), seconds=60)
    held = office.hold(image)
    decided = reviews.decide(
        office.session,
        project=office.project,
        items={held.suggestions[0].id: Verdict.ACCEPT},
        reviewer_id=office.desk.reviewer.id,
        active_ms=3000,
    )
    assert [outcome.error for outcome in decided] == [None]
    assert office.kpis().finished_images == 1
    reviews.release(office.session, office.desk.holder(held))
    office.state(image, active_ms=7000, arm=Arm.ASSISTED)
    saved = office.kpis().time_saved
    assert (saved.assisted_images, saved.assisted_mean_seconds) == (1, 10)


def test_steps_in_different_arms_or_without_a_time_enter_no_comparison(office):
    office.review(office.photo(CONTROL), seconds=60)
    mixed, untimed = office.photo(), office.photo()
    office.state(mixed, "scratch", complete=False, arm=Arm.ASSISTED, active_ms=1000)
    office.state(mixed, active_ms=1000)
    office.state(untimed, "scratch", complete=False, arm=Arm.ASSISTED)
    office.state(untimed, arm=Arm.ASSISTED, active_ms=1000)
    kpis = office.kpis()
    assert kpis.finished_images == 3
    assert kpis.time_saved.assisted_images == 0
    assert kpis.images_per_hour == pytest.approx(2 * 3600 / 62)
    assert kpis.active_hours * 3600 == pytest.approx(63)


def test_images_that_nobody_opened_count_and_audits_cost(office):
    office.review(office.photo(CONTROL), seconds=20)
    cleared, opened, half = (office.photo(scratch=0.99) for _ in range(3))
    office.session.execute(
        update(PseudoLabel).values(state=PseudoLabelState.AUTO_ACCEPTED, decided_at=now())
    )
    for image in (cleared, opened):
        office.state(image, "scratch", source=Source.AUTO)
    office.state(half, "scratch", complete=False, source=Source.AUTO)
    acceptance.clear(office.session, [image.id for image in (cleared, opened, half)])
    office.state(opened, "scratch", arm=Arm.AUDIT, active_ms=7000)
    saved = office.kpis().time_saved
    assert (saved.auto_accepted_images, saved.audit_seconds) == (1, 7)
    assert saved.hours * 3600 == pytest.approx(20 - 7)


def test_agreement_is_that_of_the_newest_statement_of_each_person(office):
    ann, bob = make_user(office.session), make_user(office.session)
    for truth in ("scratch", "dent", "rust"):
        image = office.photo()
        office.state(image, truth, author=ann)
        office.state(image, author=bob)
        office.state(image, truth, author=bob)
    agreement = office.kpis().agreement
    assert (agreement.alpha, agreement.pairs) == (1, 9)
    alone = office.photo()
    office.state(alone, author=ann)
    office.state(alone, "scratch", complete=False, author=bob)
    office.state(alone, complete=False, author=bob, dent=LabelValue.UNSURE)
    agreement = office.kpis().agreement
    assert agreement.pairs == 10  # not the dent: unsure is no opinion
    assert agreement.alpha < 1


def test_detection_gain_is_the_live_model_against_the_first(office):
    session, live = office.session, office.desk.version
    ids = [label.id for label in office.desk.labels.values()]
    scratch, dent = (str(office.desk.labels[key].id) for key in ("scratch", "dent"))
    live.metrics = {"map": {"value": 0.5}, "ap": {scratch: {"value": 0.6}, dent: 0.3}}
    better = {"map": {"value": 0.75}, "ap": {scratch: {"value": 0.8}}, "recall": {scratch: 0.9}}
    live.state = ModelState.RETIRED
    session.flush()
    make_version(session, office.project, ids, number=2, metrics=better)
    gain = office.kpis().detection_gain
    assert (gain.first_version, gain.live_version) == (1, 2)
    assert (gain.map.first, gain.map.live, gain.map.gain) == (0.5, 0.75, 0.25)
    by_key = {label.label: label for label in gain.labels}
    assert by_key["scratch"].ap.gain == pytest.approx(0.2)
    assert (gain.map.low, by_key["scratch"].ap.low) == (None, None)
    assert (by_key["dent"].ap.first, by_key["dent"].ap.gain) == (0.3, None)
    assert by_key["scratch"].recall.gain is None
    swap_keys(session, office.desk.labels)
    renamed = {label.label: label for label in office.kpis().detection_gain.labels}
    assert renamed["line_mark"].ap == by_key["scratch"].ap
    assert renamed["scratch"].ap == by_key["dent"].ap


def test_a_gain_has_an_interval_where_both_models_have_one(office):
    session, first = office.session, office.desk.version
    first.metrics = {"map": {"value": 0.5, "low": 0.44, "high": 0.53}}
    assert office.kpis().detection_gain.map.low is None  # a model against itself
    first.state = ModelState.RETIRED
    session.flush()
    better = {"map": {"value": 0.75, "low": 0.71, "high": 0.83}}
    ids = [label.id for label in office.desk.labels.values()]
    make_version(session, office.project, ids, number=2, metrics=better)
    gain = office.kpis().detection_gain.map
    assert (gain.low, gain.high) == pytest.approx((0.25 - 0.05, 0.25 + 0.1))


def swap_keys(session, labels):
    """What was a scratch is a line mark from now on, and what was a dent a scratch."""
    for before, after in (("scratch", "line_mark"), ("dent", "scratch")):
        labels[before].key = after
        session.flush()


def test_the_queue_ages_with_what_people_have_not_answered(office):
    old, young = office.photo(scratch=0.9), office.photo(scratch=0.9, dent=0.8)
    made = datetime(2026, 1, 1, tzinfo=UTC)
    office.session.execute(
        update(PseudoLabel).where(PseudoLabel.image_id == old.id).values(created_at=made)
    )
    queue = office.kpis().queue
    assert queue.pending_pseudo_labels == 3
    assert queue.oldest_seconds == pytest.approx((now() - made).total_seconds(), abs=60)
    assert queue.median_seconds < 3600
    office.state(old)
    assert office.kpis().queue.oldest_seconds < 3600
    office.review(young)
    assert office.kpis().queue.oldest_seconds is None
