"""Who gets which image, and that nobody else has it meanwhile."""

import threading
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from app.core.clock import now
from app.core.db import make_sessions, transaction
from app.core.errors import NotPermitted
from app.images.models import Arm, Image, Split
from app.projects.models import RolloutStage
from app.reviews import service
from app.reviews.models import Purpose, QueueOrder, ReviewLease
from app.reviews.service import Holder, LeaseLost, Wish
from tests.factories import make_images, make_user
from tests.integration.reviews.conftest import LEASE_S


def expire(session):
    session.execute(update(ReviewLease).values(expires_at=now() - timedelta(seconds=1)))
    session.expire_all()


def ids(held):
    return [item.image.id for item in held]


def test_the_most_uncertain_image_comes_first(session, desk):
    sure, unsure = make_images(session, desk.project, 2)
    desk.suggest(sure, 0.1, scratch=0.99)
    desk.suggest(unsure, 0.9, scratch=0.81, dent=0.95)
    held = desk.lease(2)
    assert ids(held) == [unsure.id, sure.id]
    assert [row.confidence for row in held[0].suggestions] == [0.95, 0.81]
    assert held[0].lease.arm == Arm.ASSISTED


def test_other_orders(session, desk):
    first = make_images(session, desk.project, 1, lot="B", created_at=now() - timedelta(days=1))[0]
    second = make_images(session, desk.project, 1, lot="A")[0]
    desk.suggest(first, 0.1, scratch=0.90)
    desk.suggest(second, 0.9, scratch=0.85, dent=0.9)

    def only(**wish):
        held = desk.lease(1, **wish)
        for item in held:
            service.release(session, desk.holder(item))
        return ids(held)

    assert only(order=QueueOrder.NEWEST) == [second.id]
    assert only(order=QueueOrder.LOT) == [second.id]
    assert only(lot="B") == [first.id]
    assert only(label_id=desk.labels["dent"].id) == [second.id]
    least_sure = {"order": QueueOrder.LABEL, "label_id": desk.labels["scratch"].id}
    assert only(**least_sure) == [second.id]


def test_the_closest_call_and_the_least_known_come_first(session, desk):
    clear, close, unknown, unseen = make_images(session, desk.project, 4)
    desk.see(clear, uncertainty=0.9, margin=0.4, novelty=0.2)
    desk.see(close, uncertainty=0.1, margin=0.01, novelty=0.1)
    desk.see(unknown, uncertainty=0.2, margin=0.3, novelty=0.8)
    desk.suggest(unseen, scratch=0.9)
    session.execute(update(Image).where(Image.id == unseen.id).values(margin=None, novelty=None))

    def served(order):
        held = desk.lease(4, order=order)
        for item in held:
            service.release(session, desk.holder(item))
        return ids(held)

    assert served(QueueOrder.MARGIN) == [close.id, unknown.id, clear.id, unseen.id]
    assert served(QueueOrder.NOVELTY) == [unknown.id, clear.id, close.id, unseen.id]


@pytest.mark.parametrize("order", [QueueOrder.MARGIN, QueueOrder.NOVELTY])
def test_no_order_moves_a_control_image(session, make_desk, order):
    desk = make_desk(control_rate=1.0)
    late, early = (make_images(session, desk.project, 1, arm_draw=x)[0] for x in (0.9, 0.1))
    desk.see(late, margin=0.0, novelty=0.9)
    desk.see(early, margin=0.5, novelty=0.1)
    assert ids(desk.lease(2, order=order)) == [early.id, late.id]


def test_an_image_has_one_holder(session, desk):
    image = make_images(session, desk.project, 1)[0]
    desk.suggest(image, scratch=0.9)
    assert ids(desk.lease()) == [image.id]
    assert desk.lease(reviewer=make_user(session)) == []
    assert desk.lease() == []


def test_an_expired_lease_passes_on(session, desk):
    image = make_images(session, desk.project, 1)[0]
    desk.suggest(image, scratch=0.9)
    mine = desk.holder(desk.lease()[0])
    expire(session)
    (theirs,) = desk.lease(reviewer=make_user(session))
    assert theirs.image.id == image.id
    with pytest.raises(LeaseLost):
        service.heartbeat(session, mine, lease_seconds=LEASE_S)


def test_a_heartbeat_extends_the_lease_and_keeps_the_draft(session, desk):
    desk.suggest(make_images(session, desk.project, 1)[0], scratch=0.9)
    (held,) = desk.lease()
    before = held.lease.expires_at
    draft = {"additions": {"dent": "present"}}
    service.heartbeat(session, desk.holder(held), lease_seconds=2 * LEASE_S, draft=draft)
    (again,) = service.leases_of(session, desk.project, desk.reviewer.id)
    assert again.lease.expires_at > before
    assert again.draft == draft


def test_the_draft_survives_a_lost_lease(session, desk):
    desk.suggest(make_images(session, desk.project, 1)[0], scratch=0.9)
    (held,) = desk.lease()
    service.save_draft(session, desk.holder(held), {"additions": {"rust": "present"}})
    expire(session)
    with pytest.raises(LeaseLost) as lost:
        service.heartbeat(session, desk.holder(held), lease_seconds=LEASE_S)
    assert lost.value.extra["draft"] == {"additions": {"rust": "present"}}
    (again,) = desk.lease()
    assert again.draft == {"additions": {"rust": "present"}}


def test_a_stolen_token_opens_nothing(session, desk):
    desk.suggest(make_images(session, desk.project, 1)[0], scratch=0.9)
    (held,) = desk.lease()
    thief = Holder(desk.project.id, held.image.id, make_user(session).id, held.lease.token)
    with pytest.raises(NotPermitted):
        service.skip(session, thief)


def test_a_skipped_image_goes_to_others(session, desk):
    image = make_images(session, desk.project, 1)[0]
    desk.suggest(image, scratch=0.9)
    (held,) = desk.lease()
    service.skip(session, desk.holder(held))
    assert desk.lease() == []
    assert ids(desk.lease(reviewer=make_user(session))) == [image.id]


def test_a_skipped_image_can_be_asked_for_by_name(session, desk):
    image = make_images(session, desk.project, 1)[0]
    desk.suggest(image, scratch=0.9)
    service.skip(session, desk.holder(desk.lease()[0]))
    assert ids(desk.lease(image_ids=(image.id,))) == [image.id]


def test_control_images_come_without_suggestions(session, make_desk):
    desk = make_desk(control_rate=0.3)
    (control,) = make_images(session, desk.project, 1, arm_draw=0.29)
    (assisted,) = make_images(session, desk.project, 1, arm_draw=0.31)
    for image in (control, assisted):
        desk.suggest(image, scratch=0.9)
    by_arm = {held.lease.arm: held for held in desk.lease(2)}
    assert by_arm[Arm.CONTROL].image.id == control.id
    assert by_arm[Arm.CONTROL].suggestions == []
    assert by_arm[Arm.CONTROL].lease.arm_probability == 0.3
    assert by_arm[Arm.ASSISTED].image.id == assisted.id
    assert len(by_arm[Arm.ASSISTED].suggestions) == 1
    assert by_arm[Arm.ASSISTED].lease.arm_probability == 0.7


def test_control_images_are_served_all_along_in_an_order_blind_to_their_score(session, make_desk):
    """200 control images among 400, all surer than the assisted ones: half of the first 100
    served are of the control arm, and those are no surer or less sure than the rest of it."""
    desk = make_desk(control_rate=0.5)
    images = make_images(session, desk.project, 400)
    for number, image in enumerate(images):
        image.arm_draw = (number * 0.61803398875) % 1.0
        image.priority = number / 400
    session.flush()
    for image in images:
        desk.suggest(image, image.priority, scratch=0.9)
    served = [held for _ in range(10) for held in desk.lease(10)]
    control = [h.image.priority for h in served if h.lease.arm == Arm.CONTROL]
    assisted = [h.image.priority for h in served if h.lease.arm == Arm.ASSISTED]
    # 100 fair draws stay within 50 ± 20 but once in 10,000 runs.
    assert 30 <= len(control) <= 70
    assert 0.3 < sum(control) / len(control) < 0.7
    assert min(assisted) > 0.5


def test_a_manual_project_shows_no_suggestions(session, make_desk):
    desk = make_desk(stage=RolloutStage.MANUAL)
    desk.suggest(make_images(session, desk.project, 1)[0], scratch=0.9)
    (held,) = desk.lease()
    assert (held.lease.arm, held.suggestions) == (None, [])


def test_annotating_serves_evaluation_and_train_images_without_suggestions(session, desk):
    make_images(session, desk.project, 20, split=Split.EVALUATION)
    for image in make_images(session, desk.project, 20):
        desk.suggest(image, scratch=0.9)
    make_images(session, desk.project, 5, split=Split.TEST)
    held = desk.lease(40, purpose=Purpose.ANNOTATE)
    assert Counter(h.image.split for h in held) == {Split.EVALUATION: 20, Split.TRAIN: 20}
    assert all(h.lease.arm is None and not h.suggestions for h in held)
    assert len({h.image.split for h in held[:12]}) == 2


def test_evaluation_images_are_never_reviewed_with_suggestions(session, desk):
    image = make_images(session, desk.project, 1, split=Split.EVALUATION)[0]
    desk.suggest(image, scratch=0.9)
    assert desk.lease() == []
    (held,) = desk.lease(image_ids=(image.id,))
    assert (held.lease.arm, held.suggestions) == (None, [])


def test_reviewers_at_once_never_hold_the_same_image(session, engine, desk):
    images = make_images(session, desk.project, 60)
    for image in images:
        desk.suggest(image, scratch=0.9)
    reviewers = [make_user(session).id for _ in range(6)]
    session.commit()
    sessions = make_sessions(engine)
    start = threading.Barrier(len(reviewers))
    taken: list[tuple] = []

    def work(reviewer_id):
        start.wait()
        while True:
            with transaction(sessions) as own:
                held = service.lease_next(
                    own,
                    project=desk.project,
                    reviewer_id=reviewer_id,
                    wish=Wish(count=3),
                    lease_seconds=LEASE_S,
                )
            taken.extend((item.image.id, reviewer_id) for item in held)
            if not held:
                return

    threads = [threading.Thread(target=work, args=(reviewer,)) for reviewer in reviewers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(image_id for image_id, _ in taken) == sorted(image.id for image in images)
    stored = session.execute(select(ReviewLease.image_id, ReviewLease.reviewer_id)).all()
    assert sorted(map(tuple, stored)) == sorted(taken)
