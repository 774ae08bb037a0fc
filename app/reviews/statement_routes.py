"""HTTP of statements: say what a photo shows, take it back, import many.

They are annotations; the routes are here because suggestions about the same labels end with them.
"""

from uuid import UUID

from fastapi import Response

from app.annotations import service as annotations
from app.annotations.models import Annotation, Source
from app.annotations.schemas import (
    AnnotationIn,
    AnnotationOut,
    BulkIn,
    BulkItemOut,
    BulkOut,
    describe,
    milliseconds,
)
from app.annotations.service import Outcome, Statement
from app.core.errors import Conflict, Invalid, NotFound
from app.core.http.deps import SessionDep
from app.core.http.problems import responses
from app.core.http.transactions import make_router
from app.identity.deps import CanManage, CanReview, Idempotent
from app.identity.permissions import Permission
from app.projects import service as projects
from app.projects.deps import ProjectDep
from app.projects.models import Project
from app.reviews import service

router = make_router("/projects/{slug}", "Annotations")


@router.post(
    "/images/{image_id}/annotations",
    summary="State which labels an image shows",
    status_code=201,
    response_model=AnnotationOut,
    responses=responses(NotFound, Conflict),
    dependencies=[Idempotent],
)
def annotate(
    project: ProjectDep,
    image_id: UUID,
    body: AnnotationIn,
    session: SessionDep,
    principal: CanReview,
) -> AnnotationOut:
    """Labels that are not named stay unknown, unless the annotation is complete."""
    labels = projects.labels_by_key(session, project.id)
    annotation = service.annotate(
        session,
        project_id=project.id,
        image_id=image_id,
        author_id=principal.user_id,
        values=annotations.resolve_keys(labels, body.values, is_complete=body.is_complete),
        is_complete=body.is_complete,
        active_ms=milliseconds(body.active_seconds),
    )
    return _described(session, project, annotation)


@router.post(
    "/annotations/{annotation_id}/undo",
    summary="Take one annotation back",
    status_code=201,
    response_model=AnnotationOut,
    responses=responses(NotFound, Conflict),
    dependencies=[Idempotent],
)
def undo(
    project: ProjectDep, annotation_id: UUID, session: SessionDep, principal: CanReview
) -> AnnotationOut:
    """Appends a row that takes it out of force; what was known before holds again, and what was
    suggested opens again. For its author, and for whoever manages the project."""
    annotation = service.undo(
        session,
        project=project,
        actor_id=principal.user_id,
        annotation_id=annotation_id,
        is_manager=Permission.MANAGE in principal.permissions,
    )
    return _described(session, project, annotation)


@router.post(
    "/annotations/bulk",
    summary="Add many annotations, with a result for each",
    response_model=BulkOut,
    responses=responses(NotFound, Conflict),
    dependencies=[Idempotent],
)
def annotate_many(
    project: ProjectDep, body: BulkIn, session: SessionDep, principal: CanManage, response: Response
) -> BulkOut:
    """For imports: an item that cannot be added says why and does not stop the others."""
    if body.source == Source.AUTO:
        raise Invalid("Only models make automatic labels.")
    outcomes = service.annotate_many(
        session,
        project_id=project.id,
        author_id=principal.user_id,
        source=body.source,
        statements=[
            Statement(
                image_id=item.image_id,
                values=item.values,
                is_complete=item.is_complete,
                active_ms=milliseconds(item.active_seconds),
            )
            for item in body.items
        ],
    )
    items = [_bulk_item(outcome) for outcome in outcomes]
    failed = sum(item.annotation_id is None for item in items)
    response.status_code = 207 if failed else 200
    return BulkOut(created=len(items) - failed, failed=failed, items=items)


def _bulk_item(outcome: Outcome) -> BulkItemOut:
    return BulkItemOut(
        image_id=outcome.image_id,
        status=outcome.error.status if outcome.error else 201,
        annotation_id=outcome.annotation_id,
        detail=outcome.error.detail if outcome.error else None,
    )


def _described(session: SessionDep, project: Project, annotation: Annotation) -> AnnotationOut:
    values = annotations.values_of(session, [annotation])[annotation.id]
    return describe(annotation, values, annotations.label_keys(session, project.id))
