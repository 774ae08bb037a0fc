"""The SQL of acceptance: what contracts allow, what was accepted under them, what is cleared."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Float,
    Select,
    String,
    Uuid,
    and_,
    bindparam,
    exists,
    func,
    select,
    text,
    update,
)
from sqlalchemy.orm import Session

from app.annotations.models import ImageLabel, LabelValue, Source
from app.core.clock import now
from app.images.models import Image, ImageState
from app.projects.models import Label, Project, RolloutStage
from app.pseudolabels.models import AcceptanceContract, PseudoLabel, PseudoLabelState
from app.pseudolabels.repository import is_decided, of_images

_ALLOWED = """
unnest(:label_ids, :values, :thresholds, :contract_ids)
    AS allowed(label_id, value, threshold, contract_id), image, project
"""
_IS_ALLOWED = """
project.id = pseudo_label.project_id AND image.id = pseudo_label.image_id
AND image.arm_draw >= project.control_rate AND image.deleted_at IS NULL
AND pseudo_label.state = 'pending' AND pseudo_label.model_version_id = :version_id
AND pseudo_label.label_id = allowed.label_id AND pseudo_label.value = allowed.value
AND pseudo_label.confidence >= allowed.threshold
"""
_GIVEN = (
    bindparam("label_ids", type_=ARRAY(Uuid)),
    bindparam("values", type_=ARRAY(String)),
    bindparam("thresholds", type_=ARRAY(Float)),
    bindparam("contract_ids", type_=ARRAY(Uuid)),
)
_MARK = """
UPDATE pseudo_label SET state = 'auto_accepted', decided_at = :at,
    contract_id = allowed.contract_id,
    threshold = greatest(pseudo_label.threshold, allowed.threshold)
FROM
"""
_MARKED = """
AND pseudo_label.image_id = ANY(:image_ids)
RETURNING pseudo_label.image_id, pseudo_label.label_id, pseudo_label.value
"""
_ACCEPT = text("\n".join((_MARK, _ALLOWED, "WHERE", _IS_ALLOWED, _MARKED))).bindparams(
    *_GIVEN, bindparam("image_ids", type_=ARRAY(Uuid))
)
_OPEN = "SELECT pseudo_label.image_id FROM pseudo_label,"
_SOME = "AND pseudo_label.project_id = :project_id LIMIT :limit"
_OPEN_AND_ALLOWED = text("\n".join((_OPEN, _ALLOWED, "WHERE", _IS_ALLOWED, _SOME))).bindparams(
    *_GIVEN
)


@dataclass(frozen=True)
class Allowed:
    """Answers about a label that a contract lets a version give from a confidence on."""

    label_id: UUID
    value: LabelValue
    threshold: float
    contract_id: UUID


@dataclass(frozen=True)
class Accepted:
    image_id: UUID
    label_id: UUID
    value: str


def running(session: Session, project_id: UUID) -> list[AcceptanceContract]:
    of_project = select(AcceptanceContract).where(
        AcceptanceContract.project_id == project_id, AcceptanceContract.ended_at.is_(None)
    )
    return list(session.scalars(of_project))


def newest(session: Session, project_id: UUID) -> dict[UUID, AcceptanceContract]:
    """By label id, the contract that was made last, running or not."""
    of_project = (
        select(AcceptanceContract)
        .where(AcceptanceContract.project_id == project_id)
        .order_by(AcceptanceContract.created_at, AcceptanceContract.id)
        .execution_options(populate_existing=True)
    )
    return {row.label_id: row for row in session.scalars(of_project)}


def in_force(session: Session) -> list[AcceptanceContract]:
    """Contracts that run in projects which accept."""
    found = (
        select(AcceptanceContract)
        .join(Project, Project.id == AcceptanceContract.project_id)
        .join(Label, Label.id == AcceptanceContract.label_id)
        .where(
            AcceptanceContract.ended_at.is_(None),
            Label.archived_at.is_(None),
            Project.stage == RolloutStage.AUTO,
            Project.deleted_at.is_(None),
            Project.archived_at.is_(None),
        )
    )
    return list(session.scalars(found))


def forget_applied(session: Session) -> None:
    """Of projects that accept nothing now."""
    idle = select(Project.id).where(Project.stage != RolloutStage.AUTO)
    session.execute(
        update(AcceptanceContract)
        .where(
            AcceptanceContract.applied_to_id.is_not(None), AcceptanceContract.project_id.in_(idle)
        )
        .values(applied_to_id=None)
    )


def to_take_back(session: Session) -> list[AcceptanceContract]:
    """Contracts under which something is accepted that goes back to people."""
    standing = (
        _standing()
        .where(PseudoLabel.contract_id == AcceptanceContract.id)
        .correlate_except(PseudoLabel, Image)
    )
    wanted = select(AcceptanceContract).where(AcceptanceContract.takes_back, standing.exists())
    return list(session.scalars(wanted))


def open_and_allowed(
    session: Session, project_id: UUID, version_id: UUID, allowed: Sequence[Allowed], limit: int
) -> set[UUID]:
    """Images of up to `limit` suggestions that may be accepted; empty when there are none left."""
    given = {"project_id": project_id, "version_id": version_id, "limit": limit}
    return set(session.scalars(_OPEN_AND_ALLOWED, given | _columns(allowed)))


def accept(
    session: Session, version_id: UUID, allowed: Sequence[Allowed], image_ids: Collection[UUID]
) -> list[Accepted]:
    """Mark what may be accepted on these images."""
    given = {"version_id": version_id, "image_ids": list(image_ids), "at": now()}
    rows = session.execute(_ACCEPT, given | _columns(allowed))
    return [Accepted(*row) for row in rows]


def _columns(allowed: Sequence[Allowed]) -> dict[str, list[object]]:
    return {
        "label_ids": [one.label_id for one in allowed],
        "values": [one.value for one in allowed],
        "thresholds": [one.threshold for one in allowed],
        "contract_ids": [one.contract_id for one in allowed],
    }


def accepted_under(session: Session, contract_id: UUID, limit: int) -> set[UUID]:
    """Some images with answers that were accepted under a contract and stand."""
    some = _standing().where(PseudoLabel.contract_id == contract_id).limit(limit)
    return set(session.scalars(some))


def _standing() -> Select[UUID]:
    """The image of each accepted answer that stands, of photos that are there."""
    return (
        select(PseudoLabel.image_id)
        .join(Image, Image.id == PseudoLabel.image_id)
        .where(PseudoLabel.state == PseudoLabelState.AUTO_ACCEPTED, Image.deleted_at.is_(None))
    )


def lock_accepted(
    session: Session, image_ids: Collection[UUID], contract_id: UUID | None = None
) -> list[PseudoLabel]:
    """What was accepted on these images and stands, under one contract or any."""
    held = (
        select(PseudoLabel)
        .where(
            of_images(image_ids),
            PseudoLabel.state == PseudoLabelState.AUTO_ACCEPTED,
        )
        .order_by(PseudoLabel.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if contract_id is not None:
        held = held.where(PseudoLabel.contract_id == contract_id)
    return list(session.scalars(held))


@cache
def is_audit_due() -> ColumnElement[bool]:
    """A person is to answer the image without suggestions, to check what was accepted on it.

    Its draw was made when it arrived, before anything was known about it: after the share of the
    control arm, where nothing is accepted, comes that of the audit sample.
    """
    until = Project.control_rate + (1 - Project.control_rate) * Project.audit_rate
    drawn = exists().where(
        Project.id == Image.project_id,
        Image.arm_draw >= Project.control_rate,
        Image.arm_draw < until,
    )
    unchecked = exists().where(
        PseudoLabel.image_id == Image.id,
        PseudoLabel.state == PseudoLabelState.AUTO_ACCEPTED,
        ~is_decided(),
    )
    return and_(drawn.correlate(Image), unchecked.correlate(Image))


def due_for_audit(session: Session, image_ids: Collection[UUID]) -> set[UUID]:
    return set(session.scalars(select(Image.id).where(_one_of(image_ids), is_audit_due())))


def done(session: Session, image_ids: Collection[UUID]) -> set[UUID]:
    """Those that are still in the queue although every label is known, and no audit is due."""
    known = exists().where(ImageLabel.image_id == Image.id, ImageLabel.label_id == Label.id)
    unknown = exists().where(
        Label.project_id == Image.project_id,
        Label.archived_at.is_(None),
        ~known.correlate(Image, Label),
    )
    waiting = (Image.state == ImageState.READY) & Image.reviewed_at.is_(None)
    found = select(Image.id).where(_one_of(image_ids), waiting, ~unknown, ~is_audit_due())
    return set(session.scalars(found))


def opened(session: Session, image_ids: Collection[UUID]) -> set[UUID]:
    """Those about which people have said something."""
    of_images = ImageLabel.image_id == func.any(bindparam(None, list(image_ids), ARRAY(Uuid)))
    of_people = select(ImageLabel.image_id).where(of_images, ImageLabel.source == Source.HUMAN)
    return set(session.scalars(of_people.distinct()))


def accepted_counts(session: Session, project_id: UUID) -> dict[UUID, int]:
    """By label id, how many accepted answers stand that nobody has checked."""
    rows = session.execute(
        select(AcceptanceContract.label_id, func.count())
        .join(PseudoLabel, PseudoLabel.contract_id == AcceptanceContract.id)
        .where(
            AcceptanceContract.project_id == project_id,
            PseudoLabel.state == PseudoLabelState.AUTO_ACCEPTED,
        )
        .group_by(AcceptanceContract.label_id)
    )
    return {row[0]: row[1] for row in rows}


def supersede_decided(session: Session, image_ids: Collection[UUID]) -> None:
    """What was accepted about labels that people or imports have stated meanwhile."""
    session.execute(
        update(PseudoLabel)
        .where(
            of_images(image_ids),
            PseudoLabel.state == PseudoLabelState.AUTO_ACCEPTED,
            is_decided(),
        )
        .values(state=PseudoLabelState.SUPERSEDED, decided_at=now())
        .execution_options(synchronize_session="fetch")
    )


def stands(session: Session, pseudo_label: PseudoLabel) -> bool:
    """Whether what a model decided is all that is known about this label of the image."""
    truth = select(ImageLabel.source).where(
        ImageLabel.image_id == pseudo_label.image_id, ImageLabel.label_id == pseudo_label.label_id
    )
    return session.scalar(truth) == Source.AUTO


def _one_of(image_ids: Collection[UUID]) -> ColumnElement[bool]:
    return Image.id == func.any(bindparam(None, list(image_ids), ARRAY(Uuid)))
