"""Leases: who gets which image next, how long they hold it, and what they saved meanwhile.

An image has one holder at a time, by primary key. Part of the reviews service.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from app.annotations import service as annotations
from app.annotations.models import LabelValue, Source
from app.core.clock import now
from app.core.errors import Conflict, NotPermitted
from app.images.models import Arm, Image, Split
from app.projects import service as projects
from app.projects.models import Project, RolloutStage
from app.pseudolabels import acceptance
from app.pseudolabels import service as pseudolabels
from app.pseudolabels.models import PseudoLabel
from app.reviews import repository
from app.reviews.arms import arm_of, arm_probability, draw_slots, interleave
from app.reviews.models import Purpose, QueueOrder, ReviewLease
from app.reviews.repository import Pool
from app.training import service as training

EVALUATION_SHARE = 0.5
# Of what is served while anything waits to be audited; it all is, sooner or later.
AUDIT_SHARE = 0.2


class LeaseLost(Conflict):
    """The image is no longer this reviewer's; what they did comes back as `draft`."""

    code, title = "lease-lost", "You no longer hold this image"


@dataclass(frozen=True)
class Wish:
    """Which images a reviewer asks for."""

    count: int = 1
    purpose: Purpose = Purpose.REVIEW
    order: QueueOrder = QueueOrder.UNCERTAINTY
    label_id: UUID | None = None
    lot: str | None = None
    image_ids: tuple[UUID, ...] | None = None


@dataclass(frozen=True)
class Held:
    """An image in a reviewer's hands, with everything the screen needs.

    What a model decided is `known` to those alone who are shown its suggestions.
    """

    lease: ReviewLease
    image: Image
    suggestions: list[PseudoLabel]
    known: dict[UUID, LabelValue]
    draft: dict[str, Any] | None


@dataclass(frozen=True)
class Holder:
    """Who holds which image, as they say."""

    project_id: UUID
    image_id: UUID
    reviewer_id: UUID
    token: UUID


@dataclass(frozen=True)
class Serving:
    """Whom images are served to, and whose suggestions come with them (nobody's: None)."""

    project: Project
    reviewer_id: UUID
    lease_seconds: float
    purpose: Purpose
    model_version_id: UUID | None


def lease_next(
    session: Session, *, project: Project, reviewer_id: UUID, wish: Wish, lease_seconds: float
) -> list[Held]:
    """Give a reviewer up to `wish.count` images that nobody else holds."""
    serving = Serving(
        project=project,
        reviewer_id=reviewer_id,
        lease_seconds=lease_seconds,
        purpose=wish.purpose,
        model_version_id=_suggesting_version(session, project, wish.purpose),
    )
    taken = _take_mixed(session, serving, wish)
    leases = {x.image_id: x for x in repository.leases_of(session, project.id, reviewer_id)}
    return _describe(session, [leases[image_id] for image_id in taken])


def leases_of(session: Session, project: Project, reviewer_id: UUID) -> list[Held]:
    """What a reviewer holds now, drafts included: a reloaded page goes on where it was."""
    return _describe(session, repository.leases_of(session, project.id, reviewer_id))


def heartbeat(
    session: Session,
    holder: Holder,
    *,
    lease_seconds: float,
    draft: dict[str, Any] | None = None,
) -> ReviewLease:
    """Hold the image longer and keep the unfinished work. Raises `LeaseLost`."""
    lease = held_lease(session, holder, draft)
    lease.expires_at = repository.lease_expiry(lease_seconds)
    session.flush()
    if draft is not None:
        repository.save_draft(session, holder.image_id, holder.reviewer_id, draft)
    return lease


def save_draft(session: Session, holder: Holder, draft: dict[str, Any]) -> ReviewLease:
    """Keep unfinished work on the server; it outlives the lease. Raises `LeaseLost`."""
    lease = held_lease(session, holder, draft)
    repository.save_draft(session, holder.image_id, holder.reviewer_id, draft)
    return lease


def skip(session: Session, holder: Holder) -> None:
    """Hand the image back and not be served it again for hours; others still get it."""
    release(session, holder)
    repository.save_skip(session, holder.image_id, holder.reviewer_id)


def release(session: Session, holder: Holder) -> None:
    """Hand the image back to the queue. Raises `LeaseLost`."""
    session.delete(held_lease(session, holder, None))
    session.flush()


def held_lease(session: Session, holder: Holder, draft: dict[str, Any] | None) -> ReviewLease:
    """The holder's lease, locked. Raises `LeaseLost`, with the draft, when it is over."""
    lease = repository.lock_lease(session, holder.image_id)
    if lease is None or (lease.project_id, lease.token) != (holder.project_id, holder.token):
        raise _lost(session, holder, draft, "It was finished, or passed on to someone else.")
    if lease.reviewer_id != holder.reviewer_id:
        raise NotPermitted("Another reviewer holds this image.")
    if lease.expires_at <= now():
        raise _lost(session, holder, draft, "The lease ran out.")
    return lease


def _lost(session: Session, holder: Holder, draft: dict[str, Any] | None, reason: str) -> LeaseLost:
    saved = repository.drafts_of(session, holder.reviewer_id, [holder.image_id])
    return LeaseLost(
        f"{reason} Nothing was lost: `draft` holds your work.",
        image_id=str(holder.image_id),
        draft=draft or saved.get(holder.image_id),
        saved_draft=saved.get(holder.image_id),
    )


def _suggesting_version(session: Session, project: Project, purpose: Purpose) -> UUID | None:
    """The model whose suggestions people review; None while they label by themselves."""
    if purpose == Purpose.ANNOTATE or project.stage == RolloutStage.MANUAL:
        return None
    live = training.live_version(session, project.id)
    return live.id if live else None


def _take_mixed(session: Session, serving: Serving, wish: Wish) -> list[UUID]:
    """Take images from several pools; each has a fixed probability, so that all are served all
    along, and where one is used up the others fill in."""
    if wish.image_ids is not None:
        named = replace(_pool(serving, wish), image_ids=wish.image_ids)
        return _take(session, serving, named, wish.count)
    pools, rates = _pools(serving, wish)
    tokens = [str(uuid4()) for _ in range(wish.count)]
    slots = draw_slots(serving.project.draw_secret, tokens, rates)
    taken = [
        _take(session, serving, pool, slots.count(number)) for number, pool in enumerate(pools)
    ]
    # The usual pool fills in first: it is the last one.
    for pool, already in zip(reversed(pools), reversed(taken), strict=True):
        missing = wish.count - sum(map(len, taken))
        already.extend(_take(session, serving, pool, missing))
    return interleave(slots, taken)


def _pool(serving: Serving, wish: Wish) -> Pool:
    return Pool(project_id=serving.project.id, reviewer_id=serving.reviewer_id, lot=wish.lot)


def _pools(serving: Serving, wish: Wish) -> tuple[list[Pool], list[float]]:
    """The pools to serve from, and the probabilities of all but the last."""
    pool = _pool(serving, wish)
    if serving.model_version_id is None:
        return [replace(pool, split=Split.EVALUATION), pool], [EVALUATION_SHARE]
    rate = serving.project.control_rate
    pool = replace(
        pool,
        order=wish.order,
        label_id=wish.label_id,
        model_version_id=serving.model_version_id,
        control_rate=rate,
    )
    control, audit, assisted = (
        replace(pool, arm=arm) for arm in (Arm.CONTROL, Arm.AUDIT, Arm.ASSISTED)
    )
    if wish.order == QueueOrder.AUDIT:
        return [control, audit], [rate]
    return [control, audit, assisted], [rate, (1 - rate) * AUDIT_SHARE]


def _take(session: Session, serving: Serving, pool: Pool, count: int) -> list[UUID]:
    """Lease up to `count` images of a pool; returns them in its order."""
    if count <= 0:
        return []
    images = repository.next_images(session, pool, count)
    image_ids = [image.id for image in images]
    pseudolabels.supersede_decided(session, serving.project.id, image_ids)
    waiting = pseudolabels.pending_for_images(session, image_ids)
    due = acceptance.audit_due(session, image_ids)
    leases = [_lease(serving, x, waiting[x.id], is_audit_due=x.id in due) for x in images]
    taken = repository.take(session, leases)
    return [image_id for image_id in image_ids if image_id in taken]


def _lease(
    serving: Serving, image: Image, waiting: Sequence[PseudoLabel], *, is_audit_due: bool
) -> dict[str, Any]:
    """The row of a new lease. Only assisted images come with suggestions."""
    rate, audit_rate = serving.project.control_rate, serving.project.audit_rate
    has_arm = serving.model_version_id is not None and image.split == Split.TRAIN
    arm = _arm(image, rate, is_audit_due=is_audit_due) if has_arm else None
    return {
        "image_id": image.id,
        "project_id": image.project_id,
        "reviewer_id": serving.reviewer_id,
        "token": uuid4(),
        "purpose": serving.purpose,
        "arm": arm,
        "arm_probability": arm_probability(arm, rate, audit_rate) if arm else None,
        "model_version_id": serving.model_version_id if arm else None,
        "shown_ids": [str(row.id) for row in waiting] if arm == Arm.ASSISTED else [],
        "leased_at": now(),
        "expires_at": repository.lease_expiry(serving.lease_seconds),
    }


def _arm(image: Image, control_rate: float, *, is_audit_due: bool) -> Arm:
    return Arm.AUDIT if is_audit_due else arm_of(image.arm_draw, control_rate)


def _describe(session: Session, leases: Sequence[ReviewLease]) -> list[Held]:
    if not leases:
        return []
    image_ids = [lease.image_id for lease in leases]
    shown_ids = [UUID(shown) for lease in leases for shown in lease.shown_ids]
    shown = pseudolabels.get_many(session, leases[0].project_id, shown_ids)
    active = {label.id for label in projects.list_labels(session, leases[0].project_id)}
    shown = {i: row for i, row in shown.items() if row.label_id in active}
    images = repository.images_by_id(session, image_ids)
    truth = annotations.truth(session, image_ids)
    drafts = repository.drafts_of(session, leases[0].reviewer_id, image_ids)
    return [
        Held(
            lease=lease,
            image=images[lease.image_id],
            suggestions=[shown[UUID(i)] for i in lease.shown_ids if UUID(i) in shown],
            known={
                label_id: row.value
                for label_id, row in truth[lease.image_id].items()
                if lease.arm == Arm.ASSISTED or row.source != Source.AUTO
            },
            draft=drafts.get(lease.image_id),
        )
        for lease in leases
    ]
