"""HTTP of reviews: take images, keep them, submit, skip, undo; decide pseudo-labels directly."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Response

from app.annotations import service as annotations
from app.annotations.models import Annotation, LabelValue
from app.annotations.schemas import milliseconds
from app.core.errors import Conflict, Invalid, NotFound
from app.core.http.deps import SessionDep, SettingsDep
from app.core.http.problems import responses
from app.core.http.transactions import make_router
from app.identity.deps import CanReview, Idempotent
from app.images.models import Arm, Split
from app.projects import service as projects
from app.projects.deps import ProjectDep
from app.projects.models import Project
from app.pseudolabels.models import PseudoLabel
from app.reviews import service
from app.reviews.models import Purpose, Verdict
from app.reviews.schemas import (
    DecideIn,
    DecideManyIn,
    DecisionOut,
    DecisionsOut,
    HeartbeatIn,
    LeaseIn,
    LeaseOut,
    LeasesOut,
    LeaseTimesOut,
    ReviewOut,
    SubmitIn,
    SuggestionOut,
    TokenIn,
    UndoIn,
    UndoManyIn,
    UndoManyOut,
    UndoOut,
)
from app.reviews.service import Held, Holder, LeaseLost, Outcome, Submission, Wish

router = make_router("/projects/{slug}/reviews", "Reviews")
decisions_router = make_router("/projects/{slug}/pseudo-labels", "Pseudo-labels")
LEASE_ERRORS = responses(NotFound, LeaseLost)


def get_holder(project: ProjectDep, image_id: UUID, body: TokenIn, principal: CanReview) -> Holder:
    return Holder(project.id, image_id, principal.user_id, body.token)


@router.post(
    "/leases",
    summary="Take the next images to review",
    status_code=201,
    response_model=LeasesOut,
    responses=responses(NotFound, Conflict),
    dependencies=[Idempotent],
)
def lease_next(
    project: ProjectDep,
    body: LeaseIn,
    session: SessionDep,
    settings: SettingsDep,
    principal: CanReview,
) -> LeasesOut:
    """Nobody else gets these images until the lease ends. An empty list: nothing waits."""
    held = service.lease_next(
        session,
        project=project,
        reviewer_id=principal.user_id,
        wish=_wish(session, project, body),
        lease_seconds=settings.review_lease_seconds,
    )
    return _describe(session, project, held)


@router.get(
    "/leases",
    summary="The images I hold",
    response_model=LeasesOut,
    responses=responses(NotFound),
)
def list_leases(project: ProjectDep, session: SessionDep, principal: CanReview) -> LeasesOut:
    """With suggestions and drafts, so that a reloaded page goes on where it was."""
    return _describe(session, project, service.leases_of(session, project, principal.user_id))


@router.post(
    "/leases/{image_id}/heartbeat",
    summary="Hold an image longer",
    response_model=LeaseTimesOut,
    responses=LEASE_ERRORS,
)
def heartbeat(
    project: ProjectDep,
    image_id: UUID,
    body: HeartbeatIn,
    session: SessionDep,
    settings: SettingsDep,
    principal: CanReview,
) -> LeaseTimesOut:
    """Also keeps the draft, when one is sent."""
    lease = service.heartbeat(
        session,
        Holder(project.id, image_id, principal.user_id, body.token),
        lease_seconds=settings.review_lease_seconds,
        draft=body.draft,
    )
    return LeaseTimesOut(image_id=image_id, expires_at=lease.expires_at)


@router.post(
    "/leases/{image_id}/skip",
    summary="Leave an image to others",
    status_code=204,
    response_class=Response,
    responses=LEASE_ERRORS,
)
def skip(session: SessionDep, holder: Annotated[Holder, Depends(get_holder)]) -> None:
    """It is not served to this reviewer again for 12 hours."""
    service.skip(session, holder)


@router.post(
    "/leases/{image_id}/release",
    summary="Hand an image back to the queue",
    status_code=204,
    response_class=Response,
    responses=LEASE_ERRORS,
)
def release(session: SessionDep, holder: Annotated[Holder, Depends(get_holder)]) -> None:
    service.release(session, holder)


@router.post(
    "/leases/{image_id}/submit",
    summary="Submit the review of one image",
    status_code=201,
    response_model=ReviewOut,
    responses=LEASE_ERRORS,
    dependencies=[Idempotent],
)
def submit(
    project: ProjectDep,
    image_id: UUID,
    body: SubmitIn,
    session: SessionDep,
    principal: CanReview,
) -> ReviewOut:
    """Verdicts, additions and time in one call. Sent twice, it counts once.

    When the lease was lost, the problem document carries the work as `draft`.
    """
    labels = projects.labels_by_key(session, project.id)
    submission = Submission(
        verdicts={item.pseudo_label_id: Verdict(item.verdict) for item in body.decisions},
        additions=annotations.resolve_keys(labels, body.additions, is_complete=True),
        is_complete=body.is_complete,
        active_ms=milliseconds(body.active_seconds),
        draft=body.model_dump(mode="json"),
    )
    holder = Holder(project.id, image_id, principal.user_id, body.token)
    annotation = service.submit(session, project=project, holder=holder, submission=submission)
    return _review(session, project, annotation)


@router.post(
    "/undo",
    summary="Take back my newest submission",
    status_code=201,
    response_model=UndoOut,
    responses=responses(NotFound, Conflict),
    dependencies=[Idempotent],
)
def undo(project: ProjectDep, body: UndoIn, session: SessionDep, principal: CanReview) -> UndoOut:
    """Appends a row that takes it out of force; its suggestions are open again."""
    undoing = service.undo(
        session, project=project, actor_id=principal.user_id, annotation_id=body.annotation_id
    )
    return _undone(undoing)


@decisions_router.post(
    "/decisions",
    summary="Accept or reject many pseudo-labels, with a result for each",
    response_model=DecisionsOut,
    responses=responses(NotFound, Conflict),
    dependencies=[Idempotent],
)
def decide_many(
    project: ProjectDep,
    body: DecideManyIn,
    session: SessionDep,
    principal: CanReview,
    response: Response,
) -> DecisionsOut:
    """The active time is divided over the images. Status 207 when some could not be decided."""
    verdicts = {item.pseudo_label_id: Verdict(item.verdict) for item in body.items}
    if len(verdicts) < len(body.items):
        raise Invalid("A pseudo-label is named twice.")
    outcomes = service.decide(
        session,
        project=project,
        items=verdicts,
        reviewer_id=principal.user_id,
        active_ms=milliseconds(body.active_seconds),
    )
    keys = annotations.label_keys(session, project.id)
    items = [_decision(outcome, keys) for outcome in outcomes]
    failed = sum(outcome.error is not None for outcome in outcomes)
    response.status_code = 207 if failed else 200
    return DecisionsOut(decided=len(items) - failed, failed=failed, items=items)


@decisions_router.post(
    "/decisions/undo",
    summary="Take back many decisions at once",
    status_code=201,
    response_model=UndoManyOut,
    responses=responses(NotFound, Conflict),
    dependencies=[Idempotent],
)
def undo_many(
    project: ProjectDep, body: UndoManyIn, session: SessionDep, principal: CanReview
) -> UndoManyOut:
    """The annotations that `decisions` made, all of them or none. Their suggestions open again."""
    undoings = [
        service.undo(session, project=project, actor_id=principal.user_id, annotation_id=one)
        for one in body.annotation_ids
    ]
    return UndoManyOut(items=[_undone(undoing) for undoing in undoings])


@decisions_router.post(
    "/{pseudo_label_id}/accept",
    summary="Accept one pseudo-label",
    response_model=DecisionOut,
    responses=responses(NotFound, Conflict),
    dependencies=[Idempotent],
)
def accept(
    project: ProjectDep,
    pseudo_label_id: UUID,
    session: SessionDep,
    principal: CanReview,
    body: DecideIn | None = None,
) -> DecisionOut:
    return _decide_one(
        session, project, pseudo_label_id, Verdict.ACCEPT, principal.user_id, body or DecideIn()
    )


@decisions_router.post(
    "/{pseudo_label_id}/reject",
    summary="Reject one pseudo-label",
    response_model=DecisionOut,
    responses=responses(NotFound, Conflict),
    dependencies=[Idempotent],
)
def reject(
    project: ProjectDep,
    pseudo_label_id: UUID,
    session: SessionDep,
    principal: CanReview,
    body: DecideIn | None = None,
) -> DecisionOut:
    """The label then has the opposite value."""
    return _decide_one(
        session, project, pseudo_label_id, Verdict.REJECT, principal.user_id, body or DecideIn()
    )


def _decide_one(
    session: SessionDep,
    project: Project,
    pseudo_label_id: UUID,
    verdict: Verdict,
    reviewer_id: UUID,
    body: DecideIn,
) -> DecisionOut:
    (outcome,) = service.decide(
        session,
        project=project,
        items={pseudo_label_id: verdict},
        reviewer_id=reviewer_id,
        active_ms=milliseconds(body.active_seconds),
    )
    if outcome.error is not None:
        raise outcome.error
    return _decision(outcome, annotations.label_keys(session, project.id))


def _undone(undoing: Annotation) -> UndoOut:
    assert undoing.undoes_id is not None
    return UndoOut(annotation_id=undoing.id, undone_id=undoing.undoes_id, image_id=undoing.image_id)


def _wish(session: SessionDep, project: Project, body: LeaseIn) -> Wish:
    labels = projects.labels_by_key(session, project.id) if body.label else {}
    if body.label and body.label not in labels:
        raise Invalid(f"unknown label: {body.label}")
    return Wish(
        count=body.count,
        purpose=body.purpose,
        order=body.order,
        label_id=labels[body.label].id if body.label else None,
        lot=body.lot,
        image_ids=None if body.image_ids is None else tuple(body.image_ids),
    )


def _describe(session: SessionDep, project: Project, held: list[Held]) -> LeasesOut:
    keys = annotations.label_keys(session, project.id)
    images = f"/api/v1/projects/{project.slug}/images"
    return LeasesOut(items=[_lease(item, keys, f"{images}/{item.image.id}") for item in held])


def _lease(held: Held, keys: dict[UUID, str], address: str) -> LeaseOut:
    lease, image = held.lease, held.image
    return LeaseOut(
        image_id=image.id,
        file_name=image.file_name,
        width=image.width,
        height=image.height,
        bit_depth=image.bit_depth,
        media_type=image.media_type,
        lot=image.lot,
        split=Split(image.split),
        token=lease.token,
        purpose=Purpose(lease.purpose),
        arm=Arm(lease.arm) if lease.arm else None,
        model_version_id=lease.model_version_id,
        leased_at=lease.leased_at,
        expires_at=lease.expires_at,
        suggestions=[_suggestion(row, keys, address) for row in held.suggestions],
        known={keys[label_id]: value for label_id, value in held.known.items()},
        draft=held.draft,
    )


def _suggestion(row: PseudoLabel, keys: dict[UUID, str], address: str) -> SuggestionOut:
    label = keys[row.label_id]
    return SuggestionOut(
        id=row.id,
        label=label,
        value=LabelValue(row.value),
        confidence=row.confidence,
        threshold=row.threshold,
        heat_map=f"{address}/heat-maps/{label}" if row.has_heat_map else None,
    )


def _review(session: SessionDep, project: Project, annotation: Annotation) -> ReviewOut:
    keys = annotations.label_keys(session, project.id)
    stated = annotations.values_of(session, [annotation])[annotation.id]
    verdicts = [row.verdict for row in service.decisions_of(session, annotation.id)]
    return ReviewOut(
        annotation_id=annotation.id,
        image_id=annotation.image_id,
        arm=Arm(annotation.arm) if annotation.arm else None,
        values={keys[label_id]: LabelValue(value) for label_id, value in stated.items()},
        is_complete=annotation.is_complete,
        active_seconds=None if annotation.active_ms is None else annotation.active_ms / 1000,
        accepted=verdicts.count(Verdict.ACCEPT),
        rejected=verdicts.count(Verdict.REJECT),
        added=verdicts.count(Verdict.ADD),
    )


def _decision(outcome: Outcome, keys: dict[UUID, str]) -> DecisionOut:
    row = outcome.pseudo_label
    return DecisionOut(
        pseudo_label_id=outcome.pseudo_label_id,
        status=outcome.error.status if outcome.error else 200,
        image_id=row.image_id if row else None,
        annotation_id=outcome.annotation_id,
        label=keys[row.label_id] if row else None,
        value=outcome.value,
        detail=outcome.error.detail if outcome.error else None,
    )
