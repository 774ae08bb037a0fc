"""HTTP of annotations: state, read back, undo, import many."""

from uuid import UUID

from fastapi import Response

from app.annotations import service
from app.annotations.models import Annotation, LabelValue, Source
from app.annotations.schemas import (
    AnnotationIn,
    AnnotationOut,
    BulkIn,
    BulkItemOut,
    BulkOut,
    ImageLabelOut,
    milliseconds,
)
from app.annotations.service import Outcome, Statement
from app.core.errors import Conflict, Invalid, NotFound
from app.core.http.deps import SessionDep
from app.core.http.problems import responses
from app.core.http.transactions import make_router
from app.core.pagination import Page
from app.identity.deps import CanManage, CanRead, CanReview, Idempotent
from app.images import service as images
from app.projects import service as projects
from app.projects.deps import ProjectDep
from app.projects.models import Project

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
        values=service.resolve_keys(labels, body.values, is_complete=body.is_complete),
        is_complete=body.is_complete,
        active_ms=milliseconds(body.active_seconds),
    )
    return describe(session, project, [annotation])[0]


@router.get(
    "/images/{image_id}/annotations",
    summary="Everything ever stated about an image, newest first",
    response_model=Page[AnnotationOut],
    responses=responses(NotFound),
)
def list_history(
    project: ProjectDep, image_id: UUID, session: SessionDep, principal: CanRead
) -> Page[AnnotationOut]:
    images.get_image(session, project.id, image_id)
    return Page(items=describe(session, project, service.history(session, image_id)))


@router.get(
    "/images/{image_id}/labels",
    summary="What is known now about each label of an image",
    response_model=Page[ImageLabelOut],
    responses=responses(NotFound),
)
def list_truth(
    project: ProjectDep, image_id: UUID, session: SessionDep, principal: CanRead
) -> Page[ImageLabelOut]:
    """Labels that are missing here are unknown: nobody has decided them."""
    images.get_image(session, project.id, image_id)
    keys = service.label_keys(session, project.id)
    known = service.truth(session, [image_id])[image_id]
    items = [
        ImageLabelOut(
            label=keys[row.label_id],
            value=LabelValue(row.value),
            source=Source(row.source),
            annotation_id=row.annotation_id,
            updated_at=row.updated_at,
        )
        for row in known.values()
    ]
    return Page(items=sorted(items, key=lambda item: item.label))


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
    """Appends a row that takes it out of force; what was known before holds again."""
    service.get_annotation(session, project.id, annotation_id)
    annotation = service.undo(session, annotation_id, actor_id=principal.user_id)
    return describe(session, project, [annotation])[0]


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


def describe(
    session: SessionDep, project: Project, annotations: list[Annotation]
) -> list[AnnotationOut]:
    """Annotations as the API shows them: label keys, seconds."""
    keys = service.label_keys(session, project.id)
    values = service.values_of(session, annotations)
    return [
        AnnotationOut(
            id=a.id,
            image_id=a.image_id,
            author_id=a.author_id,
            created_at=a.created_at,
            source=Source(a.source),
            values={keys[k]: LabelValue(v) for k, v in values[a.id].items()},
            is_complete=a.is_complete,
            finishes_image=a.finishes_image,
            active_seconds=None if a.active_ms is None else a.active_ms / 1000,
            arm=a.arm,
            shown_model_version_id=a.shown_model_version_id,
            undoes_id=a.undoes_id,
        )
        for a in annotations
    ]
