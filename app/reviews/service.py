"""Rules of reviews: what a decision leaves behind, one by one or many at once, and undoing it.

A submission becomes one annotation, one decision per label it speaks of, and marks on the
pseudo-labels; all of it in one transaction, or none. Decisions are never edited: those of an
undone annotation are out of force with it. Leases live in `leases` and are offered from here.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.annotations import service as annotations
from app.annotations.models import Annotation, LabelValue, Source
from app.core.clock import now
from app.core.errors import Conflict, Invalid, KizuError, NotFound, NotPermitted
from app.core.pagination import Slice
from app.images import queue as image_queue
from app.images.models import Arm
from app.projects.models import Project
from app.pseudolabels import acceptance
from app.pseudolabels import service as pseudolabels
from app.pseudolabels.models import PseudoLabel, PseudoLabelState
from app.reviews import audits, repository
from app.reviews.arms import arm_of, arm_probability
from app.reviews.leases import (
    Held,
    Holder,
    LeaseLost,
    Wish,
    heartbeat,
    held_lease,
    lease_next,
    leases_of,
    release,
    save_draft,
    skip,
)
from app.reviews.models import Decision, ReviewLease, Verdict
from app.reviews.repository import DecisionFilter
from app.reviews.verdicts import RESULTING_STATE, UNCHECKED, stated_value, verdict_on

__all__ = [
    "DecisionFilter",
    "Held",
    "Holder",
    "LeaseLost",
    "Outcome",
    "Recorded",
    "Submission",
    "Wish",
    "annotate",
    "annotate_many",
    "decide",
    "decisions_of",
    "heartbeat",
    "lease_next",
    "leases_of",
    "list_decisions",
    "release",
    "save_draft",
    "skip",
    "submit",
    "undo",
]


@dataclass(frozen=True)
class Submission:
    """A finished review: verdicts by pseudo-label id, additions by label id.

    `draft` is the same as it was sent: what comes back when the lease was lost.
    """

    verdicts: Mapping[UUID, Verdict]
    additions: Mapping[UUID, LabelValue]
    is_complete: bool
    active_ms: int | None = None
    draft: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of one of many decisions: an annotation, or the reason why not."""

    pseudo_label_id: UUID
    pseudo_label: PseudoLabel | None = None
    annotation_id: UUID | None = None
    value: LabelValue | None = None
    error: KizuError | None = None


@dataclass(frozen=True)
class Recorded:
    """A decision, and whether its annotation was taken back since."""

    decision: Decision
    is_undone: bool


def annotate(
    session: Session,
    *,
    project_id: UUID,
    image_id: UUID,
    author_id: UUID | None,
    values: Mapping[UUID, LabelValue],
    is_complete: bool,
    active_ms: int | None = None,
) -> Annotation:
    """State something without a lease; what was suggested about the same labels is put aside."""
    annotation = annotations.annotate(
        session,
        project_id=project_id,
        image_id=image_id,
        author_id=author_id,
        values=values,
        is_complete=is_complete,
        active_ms=active_ms,
    )
    pseudolabels.supersede_decided(session, project_id, [image_id])
    return annotation


def annotate_many(
    session: Session,
    *,
    project_id: UUID,
    author_id: UUID | None,
    statements: Sequence[annotations.Statement],
    source: Source,
) -> list[annotations.Outcome]:
    """State many things; what was suggested about the same labels is put aside."""
    outcomes = annotations.annotate_many(
        session,
        project_id=project_id,
        author_id=author_id,
        statements=statements,
        source=source,
    )
    stated = [outcome.image_id for outcome in outcomes if outcome.annotation_id]
    pseudolabels.supersede_decided(session, project_id, stated)
    return outcomes


def submit(
    session: Session, *, project: Project, holder: Holder, submission: Submission
) -> Annotation:
    """Turn a review into one annotation with its decisions, and free the image.

    A repeated submit under the same lease returns the first one's annotation. Raises
    `LeaseLost` with the draft when the image is no longer this reviewer's, and `Invalid` when
    verdicts and additions contradict each other or name suggestions that were not shown.
    """
    image_queue.lock(session, project.id, [holder.image_id])
    earlier = annotations.find_by_review(session, holder.token)
    if earlier is not None and earlier.author_id == holder.reviewer_id:
        return earlier
    lease = held_lease(session, holder, submission.draft)
    shown = pseudolabels.lock_many(session, project.id, [UUID(i) for i in lease.shown_ids])
    known = annotations.truth(session, [holder.image_id])[holder.image_id]
    before = {label_id: row.value for label_id, row in known.items()}
    annotation = annotations.annotate(
        session,
        project_id=project.id,
        image_id=holder.image_id,
        author_id=holder.reviewer_id,
        values=_stated(submission, shown),
        is_complete=submission.is_complete,
        active_ms=_believable(submission.active_ms, lease, project),
        arm=lease.arm,
        arm_probability=lease.arm_probability,
        arm_drawn_at=lease.leased_at if lease.arm else None,
        shown_model_version_id=lease.model_version_id if lease.arm == Arm.ASSISTED else None,
        review_token=lease.token,
    )
    hidden = pseudolabels.lock_open(session, holder.image_id)
    changed = {k for k, value in submission.additions.items() if before.get(k) != value}
    accepted = acceptance.lock_accepted(session, holder.image_id)
    if lease.arm != Arm.AUDIT:  # who could see what a model decided answers where they change it
        accepted = [row for row in accepted if row.label_id in changed]
    suggestions = _by_label([*shown.values(), *hidden, *accepted])
    _record(session, {annotation: suggestions}, set(shown), changed)
    session.delete(lease)
    repository.forget_draft(session, holder.image_id, holder.reviewer_id)
    image_queue.mark_reviewed(session, [holder.image_id])
    if lease.arm == Arm.AUDIT:
        audits.judge(session, project.id, {row.contract_id for row in accepted})
    return annotation


def decide(
    session: Session,
    *,
    project: Project,
    items: Mapping[UUID, Verdict],
    reviewer_id: UUID,
    active_ms: int | None = None,
) -> list[Outcome]:
    """Accept or reject pseudo-labels by id; each gets its own result, in the order given.

    The pseudo-labels of an image become one partial annotation. The time is divided over the
    images. A pseudo-label that was decided before, or whose image is in the control arm, is a
    `Conflict`; the others are decided all the same.
    """
    found = pseudolabels.get_many(session, project.id, list(items))
    image_ids = {pseudo_label.image_id for pseudo_label in found.values()}
    image_queue.lock(session, project.id, image_ids)
    draws = repository.arm_draws(session, image_ids)
    locked = pseudolabels.lock_many(session, project.id, list(items))
    errors = {i: _obstacle(locked.get(i), draws, project.control_rate) for i in items}
    per_image: dict[UUID, list[PseudoLabel]] = defaultdict(list)
    for i, error in errors.items():
        if error is None:
            per_image[locked[i].image_id].append(locked[i])
    share = None if active_ms is None or not per_image else round(active_ms / len(per_image))
    circumstances = annotations.Circumstances(
        active_ms=share,
        arm=Arm.ASSISTED,
        arm_probability=arm_probability(Arm.ASSISTED, project.control_rate),
        arm_drawn_at=now(),
    )
    made = annotations.append_entries(
        session,
        project_id=project.id,
        author_id=reviewer_id,
        entries=[_entry(rows, items, circumstances) for rows in per_image.values()],
    )
    by_image = {annotation.image_id: annotation for annotation in made}
    _record(session, {a: _by_label(per_image[a.image_id]) for a in made}, set(items), set())
    acceptance.clear(session, by_image.keys())
    return [
        Outcome(i, locked.get(i), error=error)
        if error
        else Outcome(
            i,
            locked[i],
            annotation_id=by_image[locked[i].image_id].id,
            value=stated_value(LabelValue(locked[i].value), items[i]),
        )
        for i, error in errors.items()
    ]


def undo(
    session: Session,
    *,
    project: Project,
    actor_id: UUID,
    annotation_id: UUID | None = None,
    is_manager: bool = False,
) -> Annotation:
    """Take back one's own statement (the newest unless named); its suggestions open again.

    Returns the row that undoes it. Raises `NotFound` when there is nothing to undo,
    `NotPermitted` for another person's work unless a manager asks, `Conflict` when it was undone
    before.
    """
    if annotation_id is None:
        undone = repository.newest_of(session, project.id, actor_id)
        if undone is None:
            raise NotFound("You have nothing to undo in this project.")
    else:
        undone = annotations.get_annotation(session, project.id, annotation_id)
    if undone.author_id != actor_id and not is_manager:
        raise NotPermitted("Only its author, or who manages the project, may take it back.")
    undoing = annotations.undo(session, undone.id, actor_id=actor_id)
    for pseudo_label in _closed_by(session, undone):
        pseudolabels.put_back(session, pseudo_label)
    return undoing


def decisions_of(session: Session, annotation_id: UUID) -> list[Decision]:
    """The decisions that one annotation carried."""
    return repository.decisions_of(session, annotation_id)


def list_decisions(
    session: Session, project_id: UUID, wanted: DecisionFilter, *, cursor: str | None, limit: int
) -> Slice[Recorded]:
    """One page of decisions, the newest first; two queries, however many rows."""
    page = repository.decisions_page(session, project_id, wanted, cursor=cursor, limit=limit)
    undone = repository.undone_among(session, {row.annotation_id for row in page.rows})
    rows = [Recorded(row, is_undone=row.annotation_id in undone) for row in page.rows]
    return Slice(rows, page.next_cursor)


def _closed_by(session: Session, undone: Annotation) -> list[PseudoLabel]:
    """The suggestions that this statement answered or put aside: not those that a newer version
    had replaced before, nor those that another statement answered."""
    answered = {decision.pseudo_label_id for decision in decisions_of(session, undone.id)}
    labels = annotations.values_of(session, [undone])[undone.id]
    closed = pseudolabels.lock_closed_since(
        session, undone.image_id, labels.keys(), undone.created_at
    )
    return [row for row in closed if row.id in answered or row.state == PseudoLabelState.SUPERSEDED]


def _stated(submission: Submission, shown: Mapping[UUID, PseudoLabel]) -> dict[UUID, LabelValue]:
    unknown = [str(i) for i in submission.verdicts if i not in shown]
    if unknown:
        raise Invalid(f"Not shown with this lease: {', '.join(unknown)}")
    values = {
        shown[i].label_id: stated_value(LabelValue(shown[i].value), verdict)
        for i, verdict in submission.verdicts.items()
    }
    both = values.keys() & submission.additions.keys()
    if any(values[label_id] != submission.additions[label_id] for label_id in both):
        raise Invalid("A label has both a verdict and an addition that contradicts it.")
    return values | dict(submission.additions)


def _believable(active_ms: int | None, lease: ReviewLease, project: Project) -> int | None:
    """Nobody is active for longer than they hold the image; a simulation has no such clock."""
    if active_ms is None or project.simulated:
        return active_ms
    return min(active_ms, round((now() - lease.leased_at).total_seconds() * 1000))


def _obstacle(
    pseudo_label: PseudoLabel | None, draws: Mapping[UUID, float], control_rate: float
) -> KizuError | None:
    if pseudo_label is None or pseudo_label.image_id not in draws:
        return NotFound("This project has no such pseudo-label.")
    if pseudo_label.state != PseudoLabelState.PENDING:
        return Conflict(f"It is {pseudo_label.state} already.")
    if arm_of(draws[pseudo_label.image_id], control_rate) == Arm.CONTROL:
        return Conflict("Its image is in the control arm, which is reviewed without suggestions.")
    return None


def _entry(
    rows: Sequence[PseudoLabel],
    verdicts: Mapping[UUID, Verdict],
    circumstances: annotations.Circumstances,
) -> annotations.Entry:
    """The partial statement that the verdicts on one image's pseudo-labels make."""
    return annotations.Entry(
        rows[0].image_id,
        {row.label_id: stated_value(LabelValue(row.value), verdicts[row.id]) for row in rows},
        circumstances={**circumstances, "shown_model_version_id": rows[0].model_version_id},
    )


def _by_label(rows: Sequence[PseudoLabel]) -> dict[UUID, PseudoLabel]:
    """The suggestion about each label; of two, the first one counts."""
    return {row.label_id: row for row in reversed(rows)}


def _record(
    session: Session,
    suggestions: Mapping[Annotation, Mapping[UUID, PseudoLabel]],
    shown_ids: set[UUID],
    changed_labels: set[UUID],
) -> None:
    """Append what annotations decided about suggestions, and mark those.

    A label that no suggestion named gets a decision only where the reviewer changed it: one that
    is merely restated, or implied to be absent, says nothing about the model.
    """
    stated = annotations.values_of(session, list(suggestions))
    decisions = []
    changes = []
    for annotation, by_label in suggestions.items():
        told = {
            label_id: LabelValue(value)
            for label_id, value in stated[annotation.id].items()
            if label_id in by_label or label_id in changed_labels
        }
        for label_id, value in told.items():
            suggestion = by_label.get(label_id)
            decision = _decision(annotation, label_id, value, suggestion)
            decision.was_shown = suggestion is not None and suggestion.id in shown_ids
            if annotation.active_ms is not None:
                decision.active_ms = round(annotation.active_ms / len(told))
            decisions.append(decision)
            if suggestion is not None and suggestion.state in UNCHECKED:
                changes.append((suggestion, RESULTING_STATE[Verdict(decision.verdict)]))
    repository.append(session, decisions)
    pseudolabels.mark_many(session, changes)
    for project_id in {annotation.project_id for annotation in suggestions}:
        image_ids = [annotation.image_id for annotation in suggestions]
        pseudolabels.supersede_decided(session, project_id, image_ids)


def _decision(
    annotation: Annotation, label_id: UUID, value: LabelValue, suggestion: PseudoLabel | None
) -> Decision:
    suggested = LabelValue(suggestion.value) if suggestion else None
    return Decision(
        project_id=annotation.project_id,
        image_id=annotation.image_id,
        label_id=label_id,
        annotation_id=annotation.id,
        pseudo_label_id=suggestion.id if suggestion else None,
        model_version_id=suggestion.model_version_id if suggestion else None,
        reviewer_id=annotation.author_id,
        verdict=verdict_on(suggested, value),
        value=value,
        suggested_value=suggested,
        arm=annotation.arm,
        confidence=suggestion.confidence if suggestion else None,
        threshold=suggestion.threshold if suggestion else None,
    )
