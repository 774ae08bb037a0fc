"""HTTP of trainings, predictions and model versions: start, list, read, promote, roll back."""

from typing import Any
from uuid import UUID

from fastapi import Response

from app.annotations import service as annotations
from app.core.errors import BadRequest, Conflict, NotFound, PreconditionRequired, Stale
from app.core.http.deps import Cursor, IfMatch, Limit, SessionDep, StoreDep, check_if_match, etag
from app.core.http.problems import responses
from app.core.http.transactions import make_router
from app.core.pagination import Page
from app.identity.deps import CanManage, CanRead, Idempotent
from app.identity.permissions import Permission
from app.jobs.contracts import TrainPayload
from app.jobs.models import Job
from app.jobs.schemas import JobOut
from app.projects.deps import ProjectDep
from app.training import doubts, gate, history, lending, service
from app.training.models import ModelVersion
from app.training.naming import LabelKeys, with_keys
from app.training.schemas import (
    DoubtfulLabelOut,
    LiveChangeOut,
    ModelDetailOut,
    ModelExportIn,
    ModelOut,
    PredictionIn,
    TrainingIn,
    TrainingScope,
)

router = make_router("/projects/{slug}", "Models")


@router.post(
    "/trainings",
    summary="Train a model on what people have labelled so far",
    status_code=202,
    response_model=JobOut,
    responses=responses(NotFound, Conflict),
    dependencies=[Idempotent],
)
def start_training(
    project: ProjectDep,
    session: SessionDep,
    principal: CanManage,
    response: Response,
    body: TrainingIn | None = None,
) -> JobOut:
    """The new version goes live by itself unless it may be worse than the live one.

    Scope `new_labels` takes a minute or so: labels that the live version does not know join it,
    from their first annotations or, without any, from their texts. Other labels keep their scores.
    """
    asked = body or TrainingIn()
    payload = TrainPayload(**asked.model_dump(exclude={"scope", "groups_from"}))
    if asked.groups_from is not None:
        principal.ensure(Permission.READ)
        payload.lent_groups = lending.lend_groups(session, asked.groups_from, borrower=project)
    start = service.start_training if asked.scope is TrainingScope.ALL else service.start_growing
    return _accepted(start(session, project, payload, actor_id=principal.user_id), response)


@router.post(
    "/predictions",
    summary="Let a model version look at every photo",
    status_code=202,
    response_model=JobOut,
    responses=responses(NotFound, Conflict),
    dependencies=[Idempotent],
)
def start_prediction(
    project: ProjectDep,
    session: SessionDep,
    principal: CanManage,
    response: Response,
    body: PredictionIn | None = None,
) -> JobOut:
    """The live version also suggests labels; a candidate only leaves predictions to compare."""
    version_id = body.model_version_id if body else None
    job = service.start_prediction(session, project, version_id, actor_id=principal.user_id)
    return _accepted(job, response)


@router.get(
    "/models",
    summary="The model versions, the newest first",
    response_model=Page[ModelOut],
    responses=responses(NotFound, BadRequest),
)
def list_models(
    project: ProjectDep,
    session: SessionDep,
    principal: CanRead,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[ModelOut]:
    found = service.list_page(session, project.id, cursor=cursor, limit=limit)
    keys = annotations.label_keys(session, project.id)
    items = [ModelOut(**_fields(version, keys)) for version in found.rows]
    return Page(items=items, next_cursor=found.next_cursor)


@router.get(
    "/models/history",
    summary="Which model version went live when, and by whom, the newest first",
    response_model=Page[LiveChangeOut],
    responses=responses(NotFound, BadRequest),
)
def list_live_changes(
    project: ProjectDep,
    session: SessionDep,
    principal: CanRead,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[LiveChangeOut]:
    found = history.live_changes(session, project.id, cursor=cursor, limit=limit)
    items = [LiveChangeOut.model_validate(change) for change in found.rows]
    return Page(items=items, next_cursor=found.next_cursor)


@router.get(
    "/models/{version_id}",
    summary="One model version, with its card",
    response_model=ModelDetailOut,
    responses=responses(NotFound),
)
def get_model(
    project: ProjectDep,
    version_id: UUID,
    session: SessionDep,
    principal: CanRead,
    response: Response,
) -> ModelDetailOut:
    version = service.get_version(session, project.id, version_id)
    snapshot = service.snapshot_of(session, version)
    keys = annotations.label_keys(session, project.id)
    response.headers["etag"] = etag(version.version)
    return ModelDetailOut(
        **_fields(version, keys),
        card=version.card,
        snapshot_sha256=snapshot.sha256,
        snapshot_counts=with_keys(snapshot.counts, keys, "labels"),
    )


@router.get(
    "/models/{version_id}/doubtful-labels",
    summary="Answers of people that a model version found improbable",
    response_model=Page[DoubtfulLabelOut],
    responses=responses(NotFound),
)
def list_doubtful_labels(
    project: ProjectDep,
    version_id: UUID,
    session: SessionDep,
    store: StoreDep,
    principal: CanRead,
) -> Page[DoubtfulLabelOut]:
    """To look at again, the least probable first and 500 at most, on photos to train with or to
    measure with. What people have changed since is left out; nothing changes by itself."""
    version = service.get_version(session, project.id, version_id)
    keys = annotations.label_keys(session, project.id)
    items = [
        DoubtfulLabelOut(
            image_id=doubt.image_id,
            label=keys[doubt.label_id],
            value=doubt.value,
            probability=doubt.probability,
        )
        for doubt in doubts.still_standing(session, store, version)
    ]
    return Page(items=items, next_cursor=None)


@router.post(
    "/models/{version_id}/promote",
    summary="Make a model version live",
    response_model=ModelOut,
    responses=responses(NotFound, Conflict, Stale, PreconditionRequired),
)
def promote_model(
    project: ProjectDep,
    version_id: UUID,
    session: SessionDep,
    principal: CanManage,
    response: Response,
    if_match: IfMatch = None,
) -> ModelOut:
    """Whatever its gate said. It then looks at every photo, so that suggestions are its own."""
    version = service.get_version(session, project.id, version_id)
    check_if_match(if_match, version.version)
    service.promote(session, version, actor_id=principal.user_id)
    response.headers["etag"] = etag(version.version)
    return ModelOut(**_fields(version, annotations.label_keys(session, project.id)))


@router.post(
    "/models/{version_id}/exports",
    summary="Make ONNX files of a model version, for a computer on the line",
    status_code=202,
    response_model=JobOut,
    responses=responses(NotFound, Conflict),
    dependencies=[Idempotent],
)
def start_model_export(
    project: ProjectDep,
    version_id: UUID,
    session: SessionDep,
    principal: CanManage,
    response: Response,
    body: ModelExportIn | None = None,
) -> JobOut:
    """The job's result says how each file does on photos that the model did not learn from. Fetch
    the zip under `exports/{job_id}/file` when the job has succeeded."""
    version = service.get_version(session, project.id, version_id)
    wanted = body or ModelExportIn()
    job = service.start_export(session, version, wanted, actor_id=principal.user_id)
    return _accepted(job, response)


@router.post(
    "/models/roll-back",
    summary="Go back to the model version that was live before",
    response_model=ModelOut,
    responses=responses(NotFound, Conflict, Stale, PreconditionRequired),
    dependencies=[Idempotent],
)
def roll_back(
    *,
    project: ProjectDep,
    session: SessionDep,
    principal: CanManage,
    response: Response,
    if_match: IfMatch = None,
) -> ModelOut:
    """If-Match takes the ETag of the live version: of two who roll it back, one is told."""
    live = service.hold_live_version(session, project.id)
    check_if_match(if_match, live.version)
    version = service.roll_back(session, project.id, actor_id=principal.user_id)
    response.headers["etag"] = etag(version.version)
    return ModelOut(**_fields(version, annotations.label_keys(session, project.id)))


def _accepted(job: Job, response: Response) -> JobOut:
    response.headers["location"] = f"/api/v1/jobs/{job.id}"
    return JobOut.model_validate(job)


def _fields(version: ModelVersion, keys: LabelKeys) -> dict[str, Any]:
    times = ("created_at", "promoted_at", "retired_at")
    return {
        **{name: getattr(version, name) for name in ("id", "number", "state", *times)},
        "job_id": version.job_id,
        "snapshot_id": version.snapshot_id,
        "labels": [keys[UUID(label_id)] for label_id in version.label_ids],
        "metrics": with_keys(version.metrics, keys, "labels", "ap", "recall"),
        "gate": gate.worded(version.gate, keys),
    }
