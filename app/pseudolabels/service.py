"""Rules of predictions and pseudo-labels: what is proposed, what a newer version puts aside.

A pseudo-label asks a person about one label of one image. Only one may be open per (image,
label). The decisions themselves, and what they do to the truth, belong to `reviews`.
"""

import itertools
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from app.core.clock import now
from app.core.errors import NotFound
from app.core.pagination import Slice
from app.core.storage import ObjectStore
from app.images import queue as image_queue
from app.images.models import Image, Split
from app.images.queue import Priority
from app.projects import service as projects
from app.projects.models import Counter, Project
from app.pseudolabels import acceptance_repository, heat_maps, repository
from app.pseudolabels.models import Prediction, PseudoLabel, PseudoLabelState
from app.pseudolabels.repository import Filter
from app.pseudolabels.rows import Bin, PredictionRow, Proposal
from app.training.models import ModelState, ModelVersion

OPEN = PseudoLabelState.PENDING
BINS = 50  # of a hundredth each


def cut_chunks(session: Session, project_id: UUID, *, size: int) -> list[tuple[UUID, UUID]]:
    """The first and last id of each chunk of so many photos that a model can look at."""
    ids = repository.ready_ids(session, project_id)
    chunks = []
    while chunk := list(itertools.islice(ids, size)):
        chunks.append((chunk[0], chunk[-1]))
    return chunks


def images_of_chunk(session: Session, project_id: UUID, first: UUID, last: UUID) -> list[Image]:
    """The photos of one chunk that are there now: decided or not, of every split."""
    return repository.ready_between(session, project_id, first, last)


def store_predictions(
    session: Session, *, version: ModelVersion, rows: Sequence[PredictionRow]
) -> None:
    """Keep one version's predictions, replacing its earlier ones of the same images.

    The live version's scores also become the images' place in the review queue.
    """
    repository.upsert_predictions(
        session, project_id=version.project_id, version_id=version.id, rows=rows
    )
    if version.state == ModelState.LIVE:
        image_queue.set_priorities(
            session,
            {row.image_id: Priority(row.uncertainty, row.margin, row.novelty) for row in rows},
        )


def propose(
    session: Session,
    *,
    version: ModelVersion,
    rows: Sequence[Proposal],
    image_ids: Collection[UUID] | None = None,
) -> int:
    """Open pseudo-labels for these proposals; returns how many are new.

    What other versions still had open about the images is superseded. Nothing is proposed for
    labels whose value is known, nor for evaluation and test images. `image_ids` are all images
    the version looked at, including those it proposes nothing for.
    """
    looked_at = {row.image_id for row in rows} | set(image_ids or ())
    image_queue.lock(session, version.project_id, looked_at)
    superseded = repository.supersede_other_versions(session, looked_at, version.id)
    superseded += repository.supersede_decided(session, looked_at)
    stored = repository.upsert_proposals(
        session, project_id=version.project_id, version_id=version.id, rows=rows
    )
    image_queue.reopen(session, {image_id for image_id, _ in stored})
    opened = sum(is_new for _, is_new in stored)
    _count(session, version.project_id, opened - superseded)
    return opened


def supersede_decided(session: Session, project_id: UUID, image_ids: Collection[UUID]) -> None:
    """Put aside what is open or accepted about labels that people or imports have stated
    meanwhile."""
    acceptance_repository.supersede_decided(session, image_ids)
    _count(session, project_id, -repository.supersede_decided(session, image_ids))


def supersede_label(session: Session, project_id: UUID, label_id: UUID) -> None:
    """Put aside what is open about a label that people no longer decide."""
    _count(session, project_id, -repository.supersede_label(session, label_id))


def pending_for_images(
    session: Session, image_ids: Collection[UUID]
) -> dict[UUID, list[PseudoLabel]]:
    """What people may see that is open about each image, the most confident first."""
    waiting: dict[UUID, list[PseudoLabel]] = {image_id: [] for image_id in image_ids}
    for pseudo_label in repository.pending_of_images(session, image_ids):
        waiting[pseudo_label.image_id].append(pseudo_label)
    return waiting


def list_pseudo_labels(
    session: Session,
    project: Project,
    wanted: Filter,
    *,
    ascending: bool = False,
    cursor: str | None = None,
    limit: int = 50,
) -> Slice[PseudoLabel]:
    """One page of pseudo-labels by confidence, without undecided ones of control images."""
    statement = repository.filtered(project.id, wanted)
    return repository.page(session, statement, ascending=ascending, cursor=cursor, limit=limit)


def histogram(session: Session, project: Project, wanted: Filter) -> list[Bin]:
    """What a listing of `wanted` would show, counted by confidence; empty bins are left out."""
    counted = repository.histogram(session, repository.filtered(project.id, wanted), BINS)
    width = 0.5 / BINS
    return [
        Bin(0.5 + number * width, 0.5 + (number + 1) * width, count, wrong)
        for number, (count, wrong) in sorted(counted.items())
    ]


def get_pseudo_label(session: Session, project_id: UUID, pseudo_label_id: UUID) -> PseudoLabel:
    """Raises `NotFound` also for an undecided one of a control image."""
    pseudo_label = repository.find_visible(session, project_id, pseudo_label_id)
    if pseudo_label is None:
        raise NotFound("This project has no such pseudo-label.")
    return pseudo_label


def get_heat_map(
    session: Session, store: ObjectStore, image: Image, label_id: UUID
) -> tuple[UUID, bytes]:
    """The version that suggests the label, and where it sees it, as a PNG.

    Raises `NotFound` also for an undecided suggestion about a control image.
    """
    explained = repository.with_heat_map(session, image.id, label_id)
    if explained is not None:
        version_id = explained.model_version_id
        picture = heat_maps.read(store, image.id, version_id, label_id)
        if picture is not None:
            return version_id, picture
    raise NotFound("No suggestion of this label on this image has a heat map.")


def forget_heat_maps(
    session: Session, image_ids: Collection[UUID], version: ModelVersion
) -> set[tuple[UUID, UUID]]:
    """Let only this version explain these images; returns the (image, version) whose maps may be
    deleted after the commit."""
    return repository.forget_heat_maps(session, image_ids, version.id)


def get_many(
    session: Session, project_id: UUID, pseudo_label_ids: Collection[UUID]
) -> dict[UUID, PseudoLabel]:
    """These pseudo-labels by id; those of other projects are left out."""
    return repository.get_many(session, project_id, pseudo_label_ids)


def lock_open(session: Session, image_id: UUID) -> list[PseudoLabel]:
    """Hold everything that is open about an image, also what was stated meanwhile."""
    return repository.lock_open(session, image_id)


def lock_closed_since(
    session: Session, image_id: UUID, label_ids: Collection[UUID], moment: datetime
) -> list[PseudoLabel]:
    """Hold what was asked about these labels of an image and closed at this moment or later."""
    return repository.lock_closed_since(session, image_id, label_ids, moment)


def lock_many(
    session: Session, project_id: UUID, pseudo_label_ids: Collection[UUID]
) -> dict[UUID, PseudoLabel]:
    """Hold these pseudo-labels until the transaction ends; those of other projects are left out."""
    return repository.lock_many(session, project_id, pseudo_label_ids)


def mark(session: Session, pseudo_label: PseudoLabel, state: PseudoLabelState) -> None:
    """Set what became of one pseudo-label."""
    mark_many(session, [(pseudo_label, state)])


def mark_many(session: Session, changes: Iterable[tuple[PseudoLabel, PseudoLabelState]]) -> None:
    """Set what became of pseudo-labels of one project, and keep the count of open ones."""
    opened = 0
    project_id = None
    for pseudo_label, state in changes:
        opened += (state == OPEN) - (pseudo_label.state == OPEN)
        pseudo_label.state = state
        pseudo_label.decided_at = None if state == OPEN else now()
        project_id = pseudo_label.project_id
    session.flush()
    if project_id is not None:
        _count(session, project_id, opened)


def put_back(session: Session, pseudo_label: PseudoLabel) -> None:
    """Ask again after an undo, unless a newer version asks about the same label already, somebody
    else has decided it, or it is in the archive. What a model decided holds again."""
    if pseudo_label.contract_id is not None and acceptance_repository.stands(session, pseudo_label):
        state = PseudoLabelState.AUTO_ACCEPTED
    elif repository.can_be_asked(session, pseudo_label.id):
        state = OPEN
        pseudo_label.contract_id = None  # it is a suggestion like any other: no audit is about it
    else:
        state = PseudoLabelState.SUPERSEDED
    mark(session, pseudo_label, state)


def predictions_of(
    session: Session, version_id: UUID, image_ids: Collection[UUID]
) -> dict[UUID, Prediction]:
    """One version's prediction for each of these images that it has seen."""
    rows = repository.predictions_of(session, version_id, image_ids)
    return {row.image_id: row for row in rows}


def list_predictions(
    session: Session,
    version: ModelVersion,
    *,
    split: Split | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Slice[Prediction]:
    """One page of a version's predictions, by image id."""
    return repository.predictions_page(session, version.id, split, cursor=cursor, limit=limit)


def oldest_pending(session: Session, project_id: UUID) -> datetime | None:
    """When the pseudo-label that has waited longest was made."""
    return repository.oldest_pending(session, project_id)


def _count(session: Session, project_id: UUID, opened: int) -> None:
    if opened:
        projects.adjust_counter(session, project_id, Counter.PENDING_PSEUDO_LABELS, opened)
