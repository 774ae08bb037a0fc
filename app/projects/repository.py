"""The SQL of projects, labels and counters."""

from collections.abc import Collection, Iterator, Mapping
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.core.pagination import Key, Slice, fetch_slice
from app.projects.models import Counter, Label, Project, ProjectCounter

BY_AGE = Key((Project.created_at, Project.id), ("created_at", "id"), descending=True)


def find(session: Session, slug: str) -> Project | None:
    return session.scalar(select(Project).where(Project.slug == slug, Project.deleted_at.is_(None)))


def find_by_id(session: Session, project_id: UUID) -> Project | None:
    return session.scalar(
        select(Project).where(Project.id == project_id, Project.deleted_at.is_(None))
    )


def find_all(session: Session, project_ids: Collection[UUID]) -> list[Project]:
    wanted = select(Project).where(Project.id.in_(project_ids), Project.deleted_at.is_(None))
    return list(session.scalars(wanted))


def lock(session: Session, project_id: UUID) -> Project | None:
    """The project, deleted or not, held until the transaction ends."""
    return session.scalar(
        select(Project)
        .where(Project.id == project_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )


def listing(
    session: Session, *, include_archived: bool, cursor: str | None, limit: int
) -> Slice[Project]:
    statement = _visible(include_archived=include_archived)
    return fetch_slice(session, statement, BY_AGE, cursor=cursor, limit=limit)


def list_all(session: Session, *, include_archived: bool) -> list[Project]:
    return list(session.scalars(_visible(include_archived=include_archived).order_by(Project.name)))


def _visible(*, include_archived: bool) -> Select[Project]:
    visible = select(Project).where(Project.deleted_at.is_(None))
    return visible if include_archived else visible.where(Project.archived_at.is_(None))


def slug_is_taken(session: Session, slug: str) -> bool:
    return session.scalar(select(Project.id).where(Project.slug == slug)) is not None


def labels(session: Session, project_id: UUID, *, include_archived: bool) -> list[Label]:
    wanted = select(Label).where(Label.project_id == project_id)
    if not include_archived:
        wanted = wanted.where(Label.archived_at.is_(None))
    return list(session.scalars(wanted.order_by(Label.position, Label.id)))


def labels_among(session: Session, label_ids: Collection[UUID]) -> list[Label]:
    return list(session.scalars(select(Label).where(Label.id.in_(label_ids))))


def find_label(session: Session, project_id: UUID, key: str) -> Label | None:
    return session.scalar(select(Label).where(Label.project_id == project_id, Label.key == key))


def add_to_counters(session: Session, adjustments: Mapping[tuple[UUID, Counter], int]) -> None:
    """Raise or lower counters in one statement that locks the rows in the order of their keys."""
    rows = [
        {"project_id": project_id, "name": counter, "value": by}
        for (project_id, counter), by in sorted(adjustments.items())
    ]
    new = insert(ProjectCounter).values(rows)
    session.execute(
        new.on_conflict_do_update(
            index_elements=["project_id", "name"],
            set_={"value": ProjectCounter.value + new.excluded.value},
        ),
        execution_options={"synchronize_session": False},
    )


def counters(
    session: Session, project_ids: Collection[UUID]
) -> Iterator[tuple[UUID, Counter, int]]:
    stored = select(ProjectCounter.project_id, ProjectCounter.name, ProjectCounter.value).where(
        ProjectCounter.project_id.in_(project_ids)
    )
    for project_id, name, value in session.execute(stored):
        yield project_id, Counter(name), value
