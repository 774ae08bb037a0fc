"""Images as people look for them: with what is known and what is suggested about each label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy.orm import Session

from app.annotations import service as annotations
from app.annotations.models import KnownValue, Source
from app.catalog import repository
from app.catalog.filters import ImageFilter, Order
from app.core.pagination import Slice
from app.images import service as images
from app.images.models import Image
from app.projects import service as projects
from app.projects.models import Counter
from app.pseudolabels import service as pseudolabels
from app.pseudolabels.models import PseudoLabel, PseudoLabelState


@dataclass(frozen=True)
class Entry:
    """An image, the truth about its labels, and what is open about it; by label id.

    In a folded listing it stands for so many photos of its burst.
    """

    image: Image
    truth: Mapping[UUID, KnownValue]
    pseudo_labels: Sequence[PseudoLabel]
    stands_for: int = 1


def list_images(
    session: Session,
    project_id: UUID,
    wanted: ImageFilter,
    *,
    order: Order = Order.NEWEST,
    cursor: str | None = None,
    limit: int = 50,
    is_folded: bool = False,
) -> Slice[Entry]:
    """One page of images; three queries, however many rows. With `is_folded`, four: one photo
    stands for those of its burst that are wanted."""
    page = repository.listing(
        session,
        project_id,
        wanted,
        order=order,
        cursor=cursor,
        limit=limit,
        is_folded=is_folded,
    )
    entries = entries_of(session, page.rows)
    if is_folded:
        entries = _with_sizes(session, project_id, wanted, entries)
    return Slice(entries, page.next_cursor)


def _with_sizes(
    session: Session, project_id: UUID, wanted: ImageFilter, entries: Sequence[Entry]
) -> list[Entry]:
    bursts = [one.image.burst_id for one in entries if one.image.burst_id is not None]
    sizes = repository.burst_sizes(session, project_id, wanted, bursts)
    return [
        replace(one, stands_for=sizes.get(one.image.burst_id, 1)) if one.image.burst_id else one
        for one in entries
    ]


def get_entry(session: Session, project_id: UUID, image_id: UUID) -> Entry:
    """Raises `NotFound` for an image that the project does not have."""
    return entries_of(session, [images.get_image(session, project_id, image_id)])[0]


def delete_image(session: Session, project_id: UUID, image: Image, *, actor_id: UUID) -> None:
    """Hide an image from everybody; what was suggested about it is put aside."""
    waiting = pseudolabels.lock_open(session, image.id)
    pseudolabels.mark_many(session, [(one, PseudoLabelState.SUPERSEDED) for one in waiting])
    known = annotations.truth(session, [image.id])[image.id].values()
    if any(row.source != Source.AUTO for row in known):
        projects.adjust_counter(session, project_id, Counter.ANNOTATED, -1)
    images.hide(session, image, actor_id=actor_id)


def entries_of(session: Session, rows: Sequence[Image]) -> list[Entry]:
    """What is known and suggested about these images; two queries."""
    ids = [image.id for image in rows]
    truth = annotations.truth(session, ids)
    waiting = pseudolabels.pending_for_images(session, ids)
    return [Entry(image, truth[image.id], waiting[image.id]) for image in rows]
