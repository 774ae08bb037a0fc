"""HTTP of annotations: read what was stated and what is known. Stating is part of `reviews`."""

from uuid import UUID

from app.annotations import service
from app.annotations.models import LabelValue, Source
from app.annotations.schemas import AnnotationOut, ImageLabelOut, describe
from app.core.errors import NotFound
from app.core.http.deps import SessionDep
from app.core.http.problems import responses
from app.core.http.transactions import make_router
from app.core.pagination import Page
from app.identity.deps import CanRead
from app.images import service as images
from app.projects.deps import ProjectDep

router = make_router("/projects/{slug}", "Annotations")


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
    stated = service.history(session, image_id)
    values = service.values_of(session, stated)
    keys = service.label_keys(session, project.id)
    return Page(items=[describe(one, values[one.id], keys) for one in stated])


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
    items = [
        ImageLabelOut(
            label=keys[row.label_id],
            value=LabelValue(row.value),
            source=Source(row.source),
            annotation_id=row.annotation_id,
            updated_at=row.updated_at,
        )
        for row in service.image_labels(session, image_id)
    ]
    return Page(items=sorted(items, key=lambda item: item.label))
