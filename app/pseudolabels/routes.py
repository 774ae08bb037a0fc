"""HTTP of predictions and pseudo-labels: list, read. Deciding them is part of `reviews`."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from app.annotations import service as annotations
from app.annotations.models import LabelValue
from app.core.errors import BadRequest, Invalid, NotFound
from app.core.http.deps import IfNoneMatch, SessionDep, StoreDep
from app.core.http.problems import responses
from app.core.http.transactions import make_router
from app.core.pagination import Page
from app.identity.deps import CanRead
from app.images import service as images
from app.projects import service as projects
from app.projects.deps import ProjectDep
from app.pseudolabels import heat_maps, service
from app.pseudolabels.mistakes import worst_mistakes
from app.pseudolabels.models import PseudoLabel, PseudoLabelState
from app.pseudolabels.repository import Filter
from app.pseudolabels.schemas import (
    ConfidenceBin,
    HistogramOut,
    HistogramQuery,
    MistakeOut,
    Order,
    PredictionOut,
    PredictionQuery,
    PseudoLabelOut,
    PseudoLabelQuery,
)
from app.training import service as training

router = make_router("/projects/{slug}", "Pseudo-labels")


@router.get(
    "/pseudo-labels",
    summary="List pseudo-labels by confidence",
    response_model=Page[PseudoLabelOut],
    responses=responses(NotFound, BadRequest),
)
def list_pseudo_labels(
    project: ProjectDep,
    session: SessionDep,
    principal: CanRead,
    query: Annotated[PseudoLabelQuery, Query()],
) -> Page[PseudoLabelOut]:
    found = service.list_pseudo_labels(
        session,
        project,
        filter_of(session, project.id, query),
        ascending=query.order == Order.LEAST_CONFIDENT,
        cursor=query.cursor,
        limit=query.limit,
    )
    keys = annotations.label_keys(session, project.id)
    items = [describe(row, keys) for row in found.rows]
    return Page(items=items, next_cursor=found.next_cursor)


@router.get(
    "/pseudo-labels/histogram",
    summary="How many open pseudo-labels of a label have which confidence",
    response_model=HistogramOut,
    responses=responses(NotFound),
)
def get_histogram(
    project: ProjectDep,
    session: SessionDep,
    principal: CanRead,
    query: Annotated[HistogramQuery, Query()],
) -> HistogramOut:
    """Bins of a hundredth from 0.5 on. Undecided ones of control images are left out."""
    label_id = _label_id(session, project.id, query.label)
    bins = service.histogram(session, project, Filter(label_id=label_id, value=query.value))
    return HistogramOut(bins=[ConfidenceBin.model_validate(one) for one in bins])


@router.get(
    "/pseudo-labels/{pseudo_label_id}",
    summary="Read one pseudo-label",
    response_model=PseudoLabelOut,
    responses=responses(NotFound),
)
def get_pseudo_label(
    project: ProjectDep, pseudo_label_id: UUID, session: SessionDep, principal: CanRead
) -> PseudoLabelOut:
    pseudo_label = service.get_pseudo_label(session, project.id, pseudo_label_id)
    return describe(pseudo_label, annotations.label_keys(session, project.id))


@router.get(
    "/models/{version_id}/predictions",
    summary="What a model version says about each photo",
    response_model=Page[PredictionOut],
    responses=responses(NotFound, BadRequest),
)
def list_predictions(
    project: ProjectDep,
    version_id: UUID,
    session: SessionDep,
    principal: CanRead,
    query: Annotated[PredictionQuery, Query()],
) -> Page[PredictionOut]:
    """Probabilities are calibrated. Photos of the test split are among them."""
    version = training.get_version(session, project.id, version_id)
    found = service.list_predictions(
        session, version, split=query.split, cursor=query.cursor, limit=query.limit
    )
    keys = annotations.label_keys(session, project.id)
    columns = [keys[UUID(label_id)] for label_id in version.label_ids]
    items = [
        PredictionOut(
            image_id=row.image_id,
            probabilities=dict(zip(columns, row.probabilities, strict=True)),
            contexts=row.contexts,
            uncertainty=row.uncertainty,
            margin=row.margin,
            novelty=row.novelty,
        )
        for row in found.rows
    ]
    return Page(items=items, next_cursor=found.next_cursor)


@router.get(
    "/models/{version_id}/mistakes",
    summary="Where a model version is surest and wrong",
    response_model=Page[MistakeOut],
    responses=responses(NotFound),
)
def list_mistakes(
    project: ProjectDep,
    version_id: UUID,
    session: SessionDep,
    principal: CanRead,
    label: Annotated[str, Query(description="A label's key.")],
    limit: Annotated[int, Query(ge=1, le=100)] = 12,
) -> Page[MistakeOut]:
    """On the newest 1,000 evaluation photos that people answered and the version has looked at: at
    most `limit` false alarms, the surest first, then as many misses."""
    version = training.get_version(session, project.id, version_id)
    label_id = _label_id(session, project.id, label)
    found = worst_mistakes(session, version, [label_id], limit=limit)
    items = [
        MistakeOut(
            image_id=one.image_id,
            file_name=one.file_name,
            label=label,
            value=one.value,
            probability=one.probability,
        )
        for one in found
    ]
    return Page(items=items, next_cursor=None)


@router.get(
    "/images/{image_id}/heat-maps/{label}",
    summary="Where the model sees a label that it suggests",
    response_class=Response,
    responses={
        200: {"content": {heat_maps.MEDIA_TYPE: {}}, "description": "A grey PNG"},
        304: {"description": "The copy you hold is current"},
        **responses(NotFound),
    },
)
def get_heat_map(
    *,
    project: ProjectDep,
    image_id: UUID,
    label: str,
    session: SessionDep,
    store: StoreDep,
    principal: CanRead,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """At most 32 by 32 pixels over the whole photo, white where most speaks for the label. There
    is none for photos that are reviewed without suggestions."""
    image = images.get_image(session, project.id, image_id)
    labels = projects.labels_by_key(session, project.id)
    if label not in labels:
        raise NotFound(f"This project has no label {label}.")
    version_id, picture = service.get_heat_map(session, store, image, labels[label].id)
    tag = f'"{version_id}-{labels[label].id}"'
    headers = {"etag": tag, "cache-control": "private, no-cache"}
    if if_none_match is not None and tag in if_none_match:
        return Response(status_code=304, headers=headers)
    return Response(picture, media_type=heat_maps.MEDIA_TYPE, headers=headers)


def filter_of(session: SessionDep, project_id: UUID, query: PseudoLabelQuery) -> Filter:
    label_id = _label_id(session, project_id, query.label) if query.label else None
    conditions = query.model_dump(exclude={"label", "order", "cursor", "limit"})
    return Filter(label_id=label_id, **conditions)


def _label_id(session: SessionDep, project_id: UUID, key: str) -> UUID:
    labels = projects.labels_by_key(session, project_id)
    if key not in labels:
        raise Invalid(f"unknown label: {key}")
    return labels[key].id


def describe(row: PseudoLabel, keys: dict[UUID, str]) -> PseudoLabelOut:
    return PseudoLabelOut(
        id=row.id,
        image_id=row.image_id,
        label=keys[row.label_id],
        value=LabelValue(row.value),
        confidence=row.confidence,
        threshold=row.threshold,
        model_version_id=row.model_version_id,
        state=PseudoLabelState(row.state),
        created_at=row.created_at,
        decided_at=row.decided_at,
    )
