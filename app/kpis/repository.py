"""The SQL behind the KPIs. Undone annotations, and decisions that came with them, do not count."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session, aliased

from app.annotations.models import Annotation, AnnotationLabel, ImageLabel, LabelValue, Source
from app.annotations.repository import is_in_force, was_undone
from app.images.models import Arm
from app.projects.models import Label
from app.pseudolabels.models import PseudoLabel, PseudoLabelState
from app.pseudolabels.repository import is_decided
from app.reviews.models import Decision
from app.training.models import ModelState, ModelVersion


@dataclass(frozen=True)
class Period:
    """A project's time from `start` to before `end` (both aware), in buckets of its own zone."""

    project_id: UUID
    start: datetime
    end: datetime
    bucket: str
    time_zone: str

    def covers(self, moment: Any) -> ColumnElement[bool]:
        return and_(moment >= self.start, moment < self.end)

    def bucket_of(self, moment: Any) -> ColumnElement[datetime]:
        """The local start of the bucket, without zone."""
        return func.date_trunc(self.bucket, func.timezone(self.time_zone, moment))


@dataclass(frozen=True)
class FinishedImage:
    """An image whose labels people have all decided; `seconds` only when every step was timed.

    `arm` is empty when its steps were not all made in the same arm.
    """

    bucket: datetime
    reviewer_id: UUID
    week: datetime
    arm: str | None
    seconds: float | None


@dataclass(frozen=True)
class DecisionCount:
    """So many decisions that are alike in every respect the KPIs know."""

    bucket: datetime
    label_id: UUID
    arm: str | None
    was_shown: bool
    verdict: str
    suggested_value: str | None
    value: str
    count: int


def finished_images(session: Session, period: Period) -> Iterator[FinishedImage]:
    first = (
        select(Annotation.image_id, Annotation.author_id, Annotation.created_at, Annotation.arm)
        .where(
            Annotation.project_id == period.project_id,
            Annotation.finishes_image,
            Annotation.source == Source.HUMAN,
            is_in_force(),
            ~_lost_a_label(),
        )
        .ext(distinct_on(Annotation.image_id))
        .order_by(Annotation.image_id, Annotation.created_at)
        .subquery()
    )
    step = aliased(Annotation)
    steps = (
        select(
            period.bucket_of(first.c.created_at).label("bucket"),
            first.c.author_id,
            func.date_trunc("week", func.timezone(period.time_zone, first.c.created_at)).label(
                "week"
            ),
            first.c.arm,
            func.bool_and(step.arm.is_not_distinct_from(first.c.arm)).label("is_one_arm"),
            func.bool_and(step.active_ms.is_not(None)).label("is_timed"),
            func.sum(step.active_ms).label("active_ms"),
        )
        .join(
            step,
            (step.image_id == first.c.image_id)
            & (step.created_at <= first.c.created_at)
            & (step.source == Source.HUMAN)
            & is_in_force(step),
        )
        .where(period.covers(first.c.created_at))
        .group_by(*first.c)
        .order_by(first.c.created_at)
    )
    for row in session.execute(steps):
        yield FinishedImage(
            bucket=row.bucket,
            reviewer_id=row.author_id,
            week=row.week,
            arm=row.arm if row.is_one_arm else None,
            seconds=float(row.active_ms) / 1000 if row.is_timed else None,
        )


def _lost_a_label() -> ColumnElement[bool]:
    """An older statement that it built on was undone since, and of a label that one named nobody
    had stated anything else by then: it did not finish the image after all."""
    undone, held = aliased(Annotation), aliased(Annotation)
    lost, kept = aliased(AnnotationLabel), aliased(AnnotationLabel)
    is_held = exists().where(
        held.image_id == Annotation.image_id,
        held.created_at <= Annotation.created_at,
        held.source != Source.AUTO,
        is_in_force(held),
        kept.annotation_id == held.id,
        kept.label_id == lost.label_id,
    )
    return exists().where(
        undone.image_id == Annotation.image_id,
        undone.created_at < Annotation.created_at,
        undone.source != Source.AUTO,
        was_undone(undone),
        lost.annotation_id == undone.id,
        Label.id == lost.label_id,
        Label.archived_at.is_(None),
        ~is_held.correlate(Annotation, lost),
    )


def decision_counts(session: Session, period: Period) -> list[DecisionCount]:
    alike = (
        period.bucket_of(Decision.created_at).label("bucket"),
        Decision.label_id,
        Decision.arm,
        Decision.was_shown,
        Decision.verdict,
        Decision.suggested_value,
        Decision.value,
    )
    counted = (
        select(*alike, func.count())
        .join(Annotation, Annotation.id == Decision.annotation_id)
        .where(
            Decision.project_id == period.project_id,
            period.covers(Decision.created_at),
            is_in_force(),
        )
        .group_by("bucket", *alike[1:])
    )
    return [DecisionCount(*row) for row in session.execute(counted)]


def audit_ms(session: Session, period: Period) -> int:
    spent = select(func.coalesce(func.sum(Annotation.active_ms), 0)).where(
        Annotation.project_id == period.project_id,
        Annotation.arm == Arm.AUDIT,
        period.covers(Annotation.created_at),
        is_in_force(),
    )
    return int(session.scalar(spent) or 0)


def active_ms(session: Session, period: Period) -> int:
    """All active time that people reported, whatever it was for."""
    spent = select(func.coalesce(func.sum(Annotation.active_ms), 0)).where(
        Annotation.project_id == period.project_id,
        Annotation.source == Source.HUMAN,
        period.covers(Annotation.created_at),
        is_in_force(),
    )
    return int(session.scalar(spent) or 0)


def cleared_images(session: Session, period: Period) -> int:
    """Images whose every label was decided with a model's help and without anybody's time."""
    automatic = (
        select(PseudoLabel.image_id)
        .where(
            PseudoLabel.project_id == period.project_id,
            PseudoLabel.state == PseudoLabelState.AUTO_ACCEPTED,
            period.covers(PseudoLabel.decided_at),
        )
        .distinct()
        .subquery()
    )
    decided = exists().where(
        ImageLabel.image_id == automatic.c.image_id, ImageLabel.label_id == Label.id
    )
    undecided = select(Label.id).where(
        Label.project_id == period.project_id,
        Label.archived_at.is_(None),
        # Left alone, a subquery two levels deep would range over all images, not this one.
        ~decided.correlate(automatic, Label),
    )
    by_hand = exists().where(
        ImageLabel.image_id == automatic.c.image_id, ImageLabel.source == Source.HUMAN
    )
    cleared = select(func.count()).select_from(automatic).where(~undecided.exists(), ~by_hand)
    return session.scalar(cleared) or 0


def opinions(session: Session, period: Period) -> list[tuple[UUID, list[str]]]:
    """Per (image, label) that two people or more stated: the label, the newest value of each."""
    pair = (Annotation.image_id, AnnotationLabel.label_id, Annotation.author_id)
    newest = (
        select(*pair, AnnotationLabel.value)
        .join(AnnotationLabel, AnnotationLabel.annotation_id == Annotation.id)
        .where(
            Annotation.project_id == period.project_id,
            Annotation.source == Source.HUMAN,
            AnnotationLabel.value != LabelValue.UNSURE,
            period.covers(Annotation.created_at),
            is_in_force(),
        )
        .ext(distinct_on(*pair))
        .order_by(*pair, Annotation.created_at.desc(), Annotation.id.desc())
        .subquery()
    )
    several: Select[Any] = (
        select(newest.c.label_id, func.array_agg(newest.c.value))
        .group_by(newest.c.image_id, newest.c.label_id)
        .having(func.count() > 1)
    )
    return [(row[0], row[1]) for row in session.execute(several)]


def queue_ages(session: Session, project_id: UUID) -> tuple[datetime | None, datetime | None]:
    """When the oldest and the middle one of the open pseudo-labels were made."""
    middle = func.percentile_disc(0.5).within_group(PseudoLabel.created_at.asc())
    ages = select(func.min(PseudoLabel.created_at), middle).where(
        PseudoLabel.project_id == project_id,
        PseudoLabel.state == PseudoLabelState.PENDING,
        ~is_decided(),
    )
    oldest, median = session.execute(ages).one()
    return oldest, median


def first_and_live(
    session: Session, project_id: UUID
) -> tuple[ModelVersion | None, ModelVersion | None]:
    of_project = select(ModelVersion).where(ModelVersion.project_id == project_id)
    first = session.scalar(of_project.order_by(ModelVersion.number).limit(1))
    live = session.scalar(of_project.where(ModelVersion.state == ModelState.LIVE))
    return first, live
