"""Embeddings of photos and of sentences: who still needs one, and what is known.

A photo has one, by its project's backbone as it was pre-trained, so that versions of models do not
make it old. Workers fill rows in; a row that waits is the outbox, and the sweep rings for it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Function, ScalarSelect, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.core import queue, vectors
from app.core.clock import now
from app.core.queue import Queue
from app.images.models import Image, ImageEmbedding, TextEmbedding
from app.projects.models import Project

PHOTOS_TASK = "worker.tasks.embed.photos"
TEXTS_TASK = "worker.tasks.embed.texts"
KEEP_TEXTS = timedelta(days=7)
ASK_AGAIN_AFTER = timedelta(seconds=30)
_LOCKS = 0x6B7576  # apart from the advisory locks of contents, lots and bursts

Embedding = list[float]


@dataclass(frozen=True)
class TextAnswer:
    """A sentence's embedding, or why there is none; both None while a worker is asked."""

    embedding: Embedding | None
    problem: str | None


def expect(session: Session, image_id: UUID, project_id: UUID) -> None:
    """From now on this photo waits for its embedding."""
    new = insert(ImageEmbedding).values(image_id=image_id, project_id=project_id)
    session.execute(new.on_conflict_do_nothing())


def forget(session: Session, image_id: UUID) -> None:
    session.execute(delete(ImageEmbedding).where(ImageEmbedding.image_id == image_id))


def of_image(session: Session, image_id: UUID, backbone: str) -> ImageEmbedding | None:
    """What this backbone made of the photo; None while that is to come."""
    found = session.get(ImageEmbedding, image_id)
    return found if found is not None and found.backbone == backbone else None


def claim(
    session: Session, project_id: UUID, backbone: str, *, limit: int
) -> list[tuple[UUID, str]]:
    """Photos that this backbone has not looked at, id and content, held until the transaction
    ends; none where another worker is at this project."""
    lock = func.pg_try_advisory_xact_lock(_LOCKS, func.hashtext(str(project_id)))
    if not session.scalar(select(lock)):
        return []
    waiting = (
        select(Image.id, Image.sha256)
        .join(ImageEmbedding, ImageEmbedding.image_id == Image.id)
        .where(
            ImageEmbedding.project_id == project_id,
            or_(ImageEmbedding.backbone < backbone, ImageEmbedding.backbone > backbone),
            Image.deleted_at.is_(None),
        )
        .limit(limit)
    )
    return [(row.id, row.sha256) for row in session.execute(waiting)]


def store(
    session: Session, found: Mapping[UUID, Embedding | None], *, backbone: str, weights: str
) -> None:
    """Keep what a backbone made of photos; None where nothing could be made of one."""
    known = [one for one in found.values() if one is not None]
    if known:
        vectors.ensure_index(
            session,
            "image_embedding",
            "embedding",
            part=("backbone", backbone),
            length=len(known[0]),
        )
    for image_id in sorted(found):
        session.execute(
            update(ImageEmbedding)
            .where(ImageEmbedding.image_id == image_id)
            .values(backbone=backbone, weights=weights, embedding=found[image_id])
            .execution_options(synchronize_session=False)
        )


def renew(session: Session, backbone: str, weights: str) -> None:
    """What other weights of the same name have made is made again: the spaces differ."""
    session.execute(
        update(ImageEmbedding)
        .where(ImageEmbedding.backbone == backbone, ImageEmbedding.weights != weights)
        .values(backbone="")
        .execution_options(synchronize_session=False)
    )
    session.execute(
        delete(TextEmbedding).where(
            TextEmbedding.backbone == backbone,
            TextEmbedding.weights != weights,
            TextEmbedding.embedding.is_not(None),
        )
    )


def answers(
    session: Session, backbone: str, texts: Collection[str]
) -> dict[str, TextAnswer] | None:
    """What a backbone makes of each of these sentences; None while a worker is asked.

    Asking twice changes nothing. Where it could not be told, it is asked again after a while.
    """
    rows = session.scalars(
        select(TextEmbedding).where(
            TextEmbedding.backbone == backbone, TextEmbedding.text.in_(texts)
        )
    )
    known = {row.text: row for row in rows}
    missing = [text for text in texts if text not in known or _is_old(known[text])]
    if missing:
        _ask(session, backbone, missing)
    if missing or any(row.embedding is None and row.problem is None for row in known.values()):
        return None
    return {text: TextAnswer(row.embedding, row.problem) for text, row in known.items()}


def _is_old(row: TextEmbedding) -> bool:
    return row.problem is not None and row.created_at < now() - ASK_AGAIN_AFTER


def _ask(session: Session, backbone: str, texts: Sequence[str]) -> None:
    rows = [{"backbone": backbone, "text": text, "created_at": now()} for text in sorted(texts)]
    new = insert(TextEmbedding).values(rows)
    session.execute(
        new.on_conflict_do_update(
            index_elements=["backbone", "text"],
            set_={"problem": None, "created_at": new.excluded.created_at},
            where=TextEmbedding.problem.is_not(None),
        ),
        execution_options={"synchronize_session": False},
    )
    ring_texts(session, backbone)


def texts_waiting(session: Session, backbone: str, *, limit: int) -> list[str]:
    waiting = select(TextEmbedding.text).where(_waits(), TextEmbedding.backbone == backbone)
    return list(session.scalars(waiting.order_by(TextEmbedding.created_at).limit(limit)))


def store_texts(
    session: Session, found: Mapping[str, Embedding | None], *, backbone: str, weights: str
) -> None:
    for text in sorted(found):
        values = {"embedding": found[text], "weights": weights}
        problem = None if found[text] else "The backbone makes nothing of this sentence."
        _settle(session, backbone, text, problem=problem, **values)


def note_problem(session: Session, backbone: str, problem: str) -> None:
    """Tell those who wait for this backbone why it does not answer."""
    for text in sorted(texts_waiting(session, backbone, limit=1000)):
        _settle(session, backbone, text, problem=problem)


def _settle(session: Session, backbone: str, text: str, **values: object) -> None:
    session.execute(
        update(TextEmbedding)
        .where(TextEmbedding.backbone == backbone, TextEmbedding.text == text)
        .values(**values)
        .execution_options(synchronize_session=False)
    )


def forget_old_texts(session: Session) -> None:
    session.execute(delete(TextEmbedding).where(TextEmbedding.created_at < now() - KEEP_TEXTS))


def ring_waiting(session: Session) -> None:
    """Ask the workers again for all that waits."""
    for project_id in _projects_waiting(session):
        ring_photos(session, project_id)
    for backbone in session.scalars(select(TextEmbedding.backbone).where(_waits()).distinct()):
        ring_texts(session, backbone)


def ring_photos(session: Session, project_id: UUID) -> None:
    queue.ring(session, PHOTOS_TASK, Queue.INFER, project_id=str(project_id))


def ring_texts(session: Session, backbone: str) -> None:
    queue.ring(session, TEXTS_TASK, Queue.INFER, backbone=backbone)


def _projects_waiting(session: Session) -> list[UUID]:
    """Two looks into the index for each project, however many photos it has: any other backbone
    than the project's comes first or last."""

    def outermost(pick: Callable[..., Function[str]]) -> ScalarSelect[str]:
        of_project = ImageEmbedding.project_id == Project.id
        found = select(pick(ImageEmbedding.backbone)).where(of_project)
        return found.correlate(Project).scalar_subquery()

    waiting = or_(outermost(func.min) != Project.backbone, outermost(func.max) != Project.backbone)
    return list(session.scalars(select(Project.id).where(Project.deleted_at.is_(None), waiting)))


def _waits() -> ColumnElement[bool]:
    return TextEmbedding.embedding.is_(None) & TextEmbedding.problem.is_(None)
