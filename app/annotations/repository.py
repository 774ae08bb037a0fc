"""The SQL of annotations: appending statements and projecting them to the current truth."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Row,
    Select,
    String,
    Uuid,
    bindparam,
    case,
    delete,
    exists,
    func,
    select,
    text,
    tuple_,
)
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Session, aliased

from app.annotations.models import Annotation, AnnotationLabel, ImageLabel, Source
from app.core.clock import now

RANKS = {Source.HUMAN: 0, Source.IMPORT: 1, Source.AUTO: 2}
_TRUTH_COLUMNS = ["image_id", "label_id", "project_id", "value", "source", "annotation_id"]
_INSERT_LABELS = text(
    "INSERT INTO annotation_label (annotation_id, label_id, value) "
    "SELECT * FROM unnest(:annotation_ids, :label_ids, :values)"
).bindparams(
    bindparam("annotation_ids", type_=ARRAY(Uuid)),
    bindparam("label_ids", type_=ARRAY(Uuid)),
    bindparam("values", type_=ARRAY(String)),
)


@dataclass(frozen=True)
class Scope:
    """Whose truth is projected: some images, or all of a project's."""

    project_id: UUID
    image_ids: tuple[UUID, ...] | None = None

    def covers(self, table: type[Annotation] | type[ImageLabel]) -> ColumnElement[bool]:
        if self.image_ids is None:
            return table.project_id == self.project_id
        return table.image_id == func.any(bindparam(None, list(self.image_ids), ARRAY(Uuid)))


def append(session: Session, annotations: Sequence[Annotation]) -> None:
    session.add_all(annotations)
    session.flush()


def append_labels(session: Session, rows: Sequence[tuple[UUID, UUID, str]]) -> None:
    """Rows of (annotation, label, value), in one statement however many."""
    if not rows:
        return
    annotation_ids, label_ids, values = (list(column) for column in zip(*rows, strict=True))
    session.execute(
        _INSERT_LABELS,
        {"annotation_ids": annotation_ids, "label_ids": label_ids, "values": values},
    )


def is_in_force(statement: type[Annotation] = Annotation) -> ColumnElement[bool]:
    """The statement (the table, or an alias of it) states something and nobody undid it."""
    return statement.undoes_id.is_(None) & ~was_undone(statement)


def was_undone(statement: type[Annotation] = Annotation) -> ColumnElement[bool]:
    undoing = aliased(Annotation)
    return exists().where(undoing.undoes_id == statement.id).correlate(statement)


def newest_statements(scope: Scope) -> Select[*tuple[Any, ...]]:
    """Per (image, label), the statement that wins: people, then imports, then models; newest."""
    rank = case(RANKS, value=Annotation.source, else_=len(RANKS))
    pair = (Annotation.image_id, AnnotationLabel.label_id)
    return (
        select(
            *pair,
            Annotation.project_id,
            AnnotationLabel.value,
            Annotation.source,
            Annotation.id.label("annotation_id"),
        )
        .join(AnnotationLabel, AnnotationLabel.annotation_id == Annotation.id)
        .where(scope.covers(Annotation), is_in_force())
        .ext(distinct_on(*pair))
        .order_by(*pair, rank, Annotation.created_at.desc(), Annotation.id.desc())
    )


def project(session: Session, scope: Scope) -> None:
    """Bring `image_label` in line with the statements."""
    winners = newest_statements(scope).subquery()
    gone = ~exists().where(
        winners.c.image_id == ImageLabel.image_id, winners.c.label_id == ImageLabel.label_id
    )
    session.execute(
        delete(ImageLabel)
        .where(scope.covers(ImageLabel), gone)
        .execution_options(synchronize_session=False)
    )
    new = insert(ImageLabel).from_select(_TRUTH_COLUMNS, newest_statements(scope))
    changed = ("value", "source", "annotation_id")
    is_another = tuple_(*(getattr(ImageLabel, c) for c in changed)).is_distinct_from(
        tuple_(*(new.excluded[c] for c in changed))
    )
    session.execute(
        new.on_conflict_do_update(
            index_elements=["image_id", "label_id"],
            set_={c: new.excluded[c] for c in changed} | {"updated_at": now()},
            where=is_another,
        )
    )


def count_annotated(session: Session, scope: Scope) -> int:
    """Images about which a person or an import has stated something that is in force."""
    images = func.count(func.distinct(ImageLabel.image_id))
    stated = ImageLabel.source != Source.AUTO
    return session.scalar(select(images).where(scope.covers(ImageLabel), stated)) or 0


def decided_labels(session: Session, scope: Scope) -> dict[UUID, set[UUID]]:
    """Per image, the labels that people or imports decided."""
    pairs = select(ImageLabel.image_id, ImageLabel.label_id).where(
        scope.covers(ImageLabel), ImageLabel.source != Source.AUTO
    )
    decided: dict[UUID, set[UUID]] = {}
    for image_id, label_id in session.execute(pairs):
        decided.setdefault(image_id, set()).add(label_id)
    return decided


def truth(session: Session, image_ids: Collection[UUID]) -> Sequence[Row[UUID, UUID, str, str]]:
    """Image, label, value and source of all that is known now about these images."""
    columns = (ImageLabel.image_id, ImageLabel.label_id, ImageLabel.value, ImageLabel.source)
    wanted = ImageLabel.image_id == func.any(bindparam(None, list(image_ids), ARRAY(Uuid)))
    return session.execute(select(*columns).where(wanted)).all()


def image_labels(session: Session, image_id: UUID) -> list[ImageLabel]:
    current = select(ImageLabel).where(ImageLabel.image_id == image_id)
    return list(session.scalars(current.execution_options(populate_existing=True)))


def project_truth(session: Session, project_id: UUID) -> Iterator[tuple[UUID, UUID, str, str]]:
    """Every (image, label, value, source) of a project, streamed, images together."""
    rows = (
        select(ImageLabel.image_id, ImageLabel.label_id, ImageLabel.value, ImageLabel.source)
        .where(ImageLabel.project_id == project_id)
        .order_by(ImageLabel.image_id, ImageLabel.label_id)
        .execution_options(yield_per=5000)
    )
    for row in session.execute(rows):
        yield row[0], row[1], row[2], row[3]


def get(session: Session, project_id: UUID, annotation_id: UUID) -> Annotation | None:
    annotation = session.get(Annotation, annotation_id)
    return annotation if annotation and annotation.project_id == project_id else None


def find_by_review(session: Session, review_token: UUID) -> Annotation | None:
    return session.scalar(select(Annotation).where(Annotation.review_token == review_token))


def undoing(session: Session, annotation_id: UUID) -> Annotation | None:
    """The annotation that undid this one, if any."""
    return session.scalar(select(Annotation).where(Annotation.undoes_id == annotation_id))


def standing(session: Session, image_ids: Collection[UUID], source: Source) -> list[Annotation]:
    """What one source has stated about these images and nobody undid."""
    images = bindparam(None, list(image_ids), ARRAY(Uuid))
    of_source = select(Annotation).where(
        Annotation.image_id == func.any(images), Annotation.source == source, is_in_force()
    )
    return list(session.scalars(of_source.order_by(Annotation.id)))


def history(session: Session, image_id: UUID) -> list[Annotation]:
    newest_first = (Annotation.created_at.desc(), Annotation.id.desc())
    return list(
        session.scalars(
            select(Annotation).where(Annotation.image_id == image_id).order_by(*newest_first)
        )
    )


def values_of(session: Session, annotation_ids: Collection[UUID]) -> dict[UUID, dict[UUID, str]]:
    """Per annotation, the value it states of each label it names."""
    wanted = AnnotationLabel.annotation_id == func.any(
        bindparam(None, list(annotation_ids), ARRAY(Uuid))
    )
    values: dict[UUID, dict[UUID, str]] = {annotation_id: {} for annotation_id in annotation_ids}
    for row in session.scalars(select(AnnotationLabel).where(wanted)):
        values[row.annotation_id][row.label_id] = row.value
    return values
