"""Rules of annotations: what a statement means, how it is undone, what the truth is.

Statements are appended, never edited; the truth per (image, label) is their projection. People
come before imports, imports before models; within each, the newest statement that names the
label wins. Labels nobody named stay unknown, unless the statement was submitted as complete.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypedDict, Unpack
from uuid import UUID

from sqlalchemy.orm import Session

from app.annotations import repository
from app.annotations.models import Annotation, ImageLabel, KnownValue, LabelValue, Source
from app.annotations.repository import Scope
from app.core.clock import now
from app.core.errors import Conflict, Invalid, KizuError, NotFound
from app.core.ids import new_id
from app.images import queue as image_queue
from app.projects import service as projects
from app.projects.models import Counter, Label


class Circumstances(TypedDict, total=False):
    """How a statement came about: active time, the arm of the experiment, what was shown."""

    active_ms: int | None
    source: Source
    arm: str | None
    arm_probability: float | None
    arm_drawn_at: datetime | None
    shown_model_version_id: UUID | None
    review_token: UUID | None


@dataclass(frozen=True)
class Entry:
    """What is said about one image, by label id, and how it came about."""

    image_id: UUID
    values: Mapping[UUID, LabelValue]
    is_complete: bool = False
    circumstances: Circumstances = field(default_factory=Circumstances)


@dataclass(frozen=True)
class Statement:
    """What is said about one image, by label key."""

    image_id: UUID
    values: Mapping[str, LabelValue]
    is_complete: bool = False
    active_ms: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one statement of many: an annotation, or the reason why not."""

    image_id: UUID
    annotation_id: UUID | None = None
    error: KizuError | None = None


def annotate(
    session: Session,
    *,
    project_id: UUID,
    image_id: UUID,
    author_id: UUID | None,
    values: Mapping[UUID, LabelValue],
    is_complete: bool,
    **circumstances: Unpack[Circumstances],
) -> Annotation:
    """Append one statement and bring the truth in line with it.

    `values` is by label id. A complete statement also makes every other active label absent.
    Raises `NotFound` for an image of another project, `Invalid` for a statement of nothing.
    """
    if not values and not is_complete:
        raise Invalid("An annotation names at least one label, or is complete.")
    if not image_queue.lock(session, project_id, [image_id]):
        raise NotFound("This project has no such image.")
    entry = Entry(image_id, values, is_complete, circumstances)
    return append_entries(session, project_id=project_id, author_id=author_id, entries=[entry])[0]


def annotate_many(
    session: Session,
    *,
    project_id: UUID,
    author_id: UUID | None,
    statements: Sequence[Statement],
    source: Source = Source.IMPORT,
) -> list[Outcome]:
    """Append many statements at once; one that cannot be appended does not stop the others."""
    known = image_queue.lock(session, project_id, {s.image_id for s in statements})
    labels = projects.labels_by_key(session, project_id)
    checked = [_check(statement, known, labels, source) for statement in statements]
    entries = [entry for entry in checked if isinstance(entry, Entry)]
    appended = iter(
        append_entries(session, project_id=project_id, author_id=author_id, entries=entries)
    )
    return [
        Outcome(result.image_id, annotation_id=next(appended).id)
        if isinstance(result, Entry)
        else Outcome(statement.image_id, error=result)
        for statement, result in zip(statements, checked, strict=True)
    ]


def append_entries(
    session: Session, *, project_id: UUID, author_id: UUID | None, entries: Sequence[Entry]
) -> list[Annotation]:
    """Append statements about images that the caller holds (`image_queue.lock`), set-based."""
    scope = Scope(project_id, tuple({entry.image_id for entry in entries}))
    active = {label.id for label in projects.list_labels(session, project_id)}
    decided = repository.decided_labels(session, scope)
    appended, rows = [], []
    for number, entry in enumerate(entries):
        values = _named(entry, active)
        annotation = Annotation(
            id=new_id(),
            # Statements of one call keep their order, whatever the clock's resolution.
            created_at=now() + timedelta(microseconds=number),
            project_id=project_id,
            image_id=entry.image_id,
            author_id=author_id,
            is_complete=entry.is_complete,
            finishes_image=_finishes(entry, values, active, decided),
            **entry.circumstances,
        )
        appended.append(annotation)
        rows += [(annotation.id, label_id, value) for label_id, value in values.items()]
    repository.append(session, appended)
    repository.append_labels(session, rows)
    _reproject(session, scope)
    image_queue.mark_reviewed(session, {a.image_id for a in appended if a.finishes_image})
    image_queue.mark_opened(session, {a.image_id for a in appended if a.source == Source.HUMAN})
    return appended


def resolve_keys(
    labels: Mapping[str, Label], values: Mapping[str, LabelValue], *, is_complete: bool
) -> dict[UUID, LabelValue]:
    """Label keys to ids. Raises `Invalid` naming each key that is unknown or archived."""
    if not values and not is_complete:
        raise Invalid("An annotation names at least one label, or is complete.")
    unusable = [key for key in values if key not in labels or labels[key].archived_at]
    if unusable:
        reasons = {k: "archived label" if k in labels else "unknown label" for k in unusable}
        raise Invalid(
            "; ".join(f"{reason}: {key}" for key, reason in reasons.items()),
            errors=[{"pointer": f"#/values/{k}", "detail": r} for k, r in reasons.items()],
        )
    return {labels[key].id: value for key, value in values.items()}


def undo(session: Session, annotation_id: UUID, *, actor_id: UUID | None) -> Annotation:
    """Append a row that takes one annotation out of force, and recompute the truth.

    Raises `NotFound` when its image was deleted, `Conflict` when it was undone before, or is
    itself an undo.
    """
    undone = session.get(Annotation, annotation_id)
    if undone is None:
        raise NotFound("There is no such annotation.")
    if not image_queue.lock(session, undone.project_id, [undone.image_id]):
        raise NotFound("The image of this annotation was deleted.")
    if undone.undoes_id is not None:
        raise Conflict("An undo cannot be undone: annotate again instead.")
    if repository.undoing(session, annotation_id) is not None:
        raise Conflict("This annotation was already undone.")
    annotation = _undoing(undone, actor_id=actor_id)
    repository.append(session, [annotation])
    _reproject(session, Scope(undone.project_id, (undone.image_id,)))
    _reopen_undecided(session, undone)
    return annotation


def withdraw(
    session: Session,
    project_id: UUID,
    taken: Mapping[UUID, Collection[UUID]],
    *,
    source: Source,
) -> None:
    """Undo what one source said about these labels, by image id, of images that the caller holds.

    What else the undone statements said is stated again.
    """
    standing = repository.standing(session, taken.keys(), source)
    values = repository.values_of(session, [one.id for one in standing])
    undone = [one for one in standing if values[one.id].keys() & set(taken[one.image_id])]
    repository.append(session, [_undoing(one, actor_id=None) for one in undone])
    rest = [
        Entry(
            one.image_id,
            {k: LabelValue(v) for k, v in values[one.id].items() if k not in taken[one.image_id]},
            circumstances={"source": source},
        )
        for one in undone
    ]
    said = [entry for entry in rest if entry.values]
    append_entries(session, project_id=project_id, author_id=None, entries=said)
    _reproject(session, Scope(project_id, tuple(taken)))


def rebuild_truth(session: Session, project_id: UUID) -> None:
    """Project the truth of a whole project anew from its statements."""
    _reproject(session, Scope(project_id))


def truth(session: Session, image_ids: Collection[UUID]) -> dict[UUID, dict[UUID, KnownValue]]:
    """Per image, what is known now about each label; labels not in it are unknown."""
    known: dict[UUID, dict[UUID, KnownValue]] = {image_id: {} for image_id in image_ids}
    for image_id, label_id, value, source in repository.truth(session, image_ids):
        known[image_id][label_id] = KnownValue(LabelValue(value), Source(source))
    return known


def image_labels(session: Session, image_id: UUID) -> list[ImageLabel]:
    """What is known now about one image, and which statements say so."""
    return repository.image_labels(session, image_id)


def project_truth(
    session: Session, project_id: UUID
) -> Iterator[tuple[UUID, UUID, LabelValue, Source]]:
    """Every (image, label, value, source) of a project, streamed, sorted by image."""
    for image_id, label_id, value, source in repository.project_truth(session, project_id):
        yield image_id, label_id, LabelValue(value), Source(source)


def decided_labels(
    session: Session, project_id: UUID, image_ids: Collection[UUID]
) -> dict[UUID, set[UUID]]:
    """Per image, the labels that people or imports decided; models must leave them alone."""
    return repository.decided_labels(session, Scope(project_id, tuple(image_ids)))


def get_annotation(session: Session, project_id: UUID, annotation_id: UUID) -> Annotation:
    annotation = repository.get(session, project_id, annotation_id)
    if annotation is None:
        raise NotFound("This project has no such annotation.")
    return annotation


def find_by_review(session: Session, review_token: UUID) -> Annotation | None:
    """What was submitted under this lease, if anything was."""
    return repository.find_by_review(session, review_token)


def history(session: Session, image_id: UUID) -> list[Annotation]:
    """Every statement about an image, newest first, undos included."""
    return repository.history(session, image_id)


def values_of(session: Session, annotations: Collection[Annotation]) -> dict[UUID, dict[UUID, str]]:
    """Per annotation id, the value it states of each label it names."""
    return repository.values_of(session, [annotation.id for annotation in annotations])


def label_keys(session: Session, project_id: UUID) -> dict[UUID, str]:
    """The key of every label that a statement may name, archived ones included."""
    labels = projects.list_labels(session, project_id, include_archived=True)
    return {label.id: label.key for label in labels}


def _check(
    statement: Statement, known: set[UUID], labels: Mapping[str, Label], source: Source
) -> Entry | KizuError:
    if statement.image_id not in known:
        return NotFound("This project has no such image.")
    try:
        values = resolve_keys(labels, statement.values, is_complete=statement.is_complete)
    except Invalid as error:
        return error
    circumstances = Circumstances(active_ms=statement.active_ms, source=source)
    return Entry(statement.image_id, values, statement.is_complete, circumstances)


def _named(entry: Entry, active: set[UUID]) -> dict[UUID, LabelValue]:
    implied = dict.fromkeys(active, LabelValue.ABSENT) if entry.is_complete else {}
    return implied | dict(entry.values)


def _finishes(
    entry: Entry,
    values: Mapping[UUID, LabelValue],
    active: set[UUID],
    decided: dict[UUID, set[UUID]],
) -> bool:
    """Whether people have now decided every active label; notes what this entry decides."""
    if entry.circumstances.get("source") == Source.AUTO:
        return False
    known = decided.setdefault(entry.image_id, set())
    known |= values.keys()
    return active <= known


def _undoing(undone: Annotation, *, actor_id: UUID | None) -> Annotation:
    return Annotation(
        id=new_id(),
        created_at=now(),
        project_id=undone.project_id,
        image_id=undone.image_id,
        author_id=actor_id,
        source=undone.source,
        undoes_id=undone.id,
    )


def _reproject(session: Session, scope: Scope) -> None:
    before = repository.count_annotated(session, scope)
    repository.project(session, scope)
    gained = repository.count_annotated(session, scope) - before
    if gained:
        projects.adjust_counter(session, scope.project_id, Counter.ANNOTATED, gained)


def _reopen_undecided(session: Session, undone: Annotation) -> None:
    active = {label.id for label in projects.list_labels(session, undone.project_id)}
    decided = repository.decided_labels(session, Scope(undone.project_id, (undone.image_id,)))
    if not active <= decided.get(undone.image_id, set()):
        image_queue.reopen(session, [undone.image_id])
