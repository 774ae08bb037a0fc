"""Rules of trainings and model versions: how one is made, goes live, and gives way again.

A training makes a candidate. It goes live by the gate or by a manager's word; exactly one version
of a project is live, and one call brings the previous one back.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.core import audit
from app.core.clock import now
from app.core.errors import Conflict, NotFound
from app.core.pagination import Slice
from app.jobs import service as jobs
from app.jobs.contracts import ExportModelPayload, PredictPayload, TrainPayload
from app.jobs.models import Job, JobKind
from app.projects import service as projects
from app.projects.models import Project
from app.training import gate, repository
from app.training.models import DatasetSnapshot, ModelState, ModelVersion
from app.training.schemas import ModelExportIn


class NotEnoughLabels(Conflict):
    code, title = "not-enough-labels", "There is nothing to learn from yet"


class NoNewLabel(Conflict):
    code, title = "no-new-label", "The live version knows every label"


@dataclass(frozen=True)
class Trained:
    """What a training hands over; `label_ids` are in the order of the card's labels."""

    version_id: UUID
    label_ids: list[UUID]
    weights_prefix: str
    card: dict[str, Any]
    metrics: dict[str, Any]
    gate: dict[str, Any]


def start_training(
    session: Session, project: Project, payload: TrainPayload, *, actor_id: UUID | None
) -> Job:
    """Queue a training. Raises `NotEnoughLabels` when it could not learn anything."""
    if not projects.list_labels(session, project.id):
        raise NotEnoughLabels("The project has no label to learn. Add a label, then train again.")
    if not repository.has_labeled_training_image(session, project.id):
        raise NotEnoughLabels(
            "No training photo has a label yet. Annotate at least one photo, then train again."
        )
    return jobs.create_job(
        session, kind=JobKind.TRAIN, project_id=project.id, payload=payload, created_by=actor_id
    )


def start_growing(
    session: Session, project: Project, payload: TrainPayload, *, actor_id: UUID | None
) -> Job:
    """Queue a training of those labels alone that the live version does not know.

    Raises `Conflict` without a live version, `NoNewLabel` where it knows them all.
    """
    live = live_version(session, project.id)
    if live is None:
        raise Conflict("The project has no live model yet. Train one first.")
    if all(str(one.id) in live.label_ids for one in projects.list_labels(session, project.id)):
        raise NoNewLabel(
            f"Version {live.number} knows every label of the project. Add a label, or train all."
        )
    payload = payload.model_copy(update={"grow_from": live.id})
    return jobs.create_job(
        session, kind=JobKind.TRAIN, project_id=project.id, payload=payload, created_by=actor_id
    )


def start_prediction(
    session: Session, project: Project, version_id: UUID | None, *, actor_id: UUID | None
) -> Job:
    """Queue a look at all photos by the live version, or by another that is not retired."""
    if version_id is not None:
        version = get_version(session, project.id, version_id)
        if version.state == ModelState.RETIRED:
            raise Conflict(f"Version {version.number} is retired. Make it live, then predict.")
        return _predict(session, version, actor_id)
    live = live_version(session, project.id)
    if live is None:
        raise Conflict("The project has no live model yet. Train one first.")
    return _predict(session, live, actor_id)


def start_export(
    session: Session, version: ModelVersion, wanted: ModelExportIn, *, actor_id: UUID | None
) -> Job:
    """Queue the making of ONNX files of a version, live or not."""
    payload = ExportModelPayload(model_version_id=version.id, **wanted.model_dump())
    return jobs.create_job(
        session,
        kind=JobKind.EXPORT_MODEL,
        project_id=version.project_id,
        payload=payload,
        created_by=actor_id,
    )


def list_exports(session: Session, version: ModelVersion) -> list[Job]:
    """Recent exports of a version, the newest first, whatever became of them."""
    found = jobs.list_jobs(session, project_id=version.project_id, kind=JobKind.EXPORT_MODEL)
    return [job for job in found.rows if job.payload["model_version_id"] == str(version.id)]


def _predict(session: Session, version: ModelVersion, actor_id: UUID | None) -> Job:
    return jobs.create_job(
        session,
        kind=JobKind.PREDICT,
        project_id=version.project_id,
        payload=PredictPayload(model_version_id=version.id),
        created_by=actor_id,
    )


def list_versions(session: Session, project_id: UUID) -> list[ModelVersion]:
    """Every version of a project, the oldest first."""
    return repository.all_versions(session, project_id)


def list_page(
    session: Session, project_id: UUID, *, cursor: str | None = None, limit: int = 50
) -> Slice[ModelVersion]:
    """One page of a project's versions, the newest first."""
    return repository.page(session, project_id, cursor=cursor, limit=limit)


def live_version(session: Session, project_id: UUID) -> ModelVersion | None:
    """The version that makes the suggestions now, if any."""
    return repository.live(session, project_id)


def get_version(session: Session, project_id: UUID, version_id: UUID) -> ModelVersion:
    version = repository.get(session, project_id, version_id)
    if version is None:
        raise NotFound("This project has no such model version.")
    return version


def get_version_by_number(session: Session, project_id: UUID, number: int) -> ModelVersion:
    version = repository.get_by_number(session, project_id, number)
    if version is None:
        raise NotFound(f"This project has no model version {number}.")
    return version


def snapshot_of(session: Session, version: ModelVersion) -> DatasetSnapshot:
    """What the version learned from."""
    return session.get_one(DatasetSnapshot, version.snapshot_id)


def publish(session: Session, job: Job, trained: Trained) -> ModelVersion:
    """Add the version that a training made; it goes live if its gate lets it.

    A gate that was measured against a version that is not live any more lets nothing through.
    """
    assert job.project_id is not None
    projects.hold_project(session, job.project_id)
    live = live_version(session, job.project_id)
    verdict = trained.gate
    if live is not None and verdict.get("against") != live.number:
        verdict = gate.not_compared(
            f"Version {live.number} went live while it was trained, so the two were not compared.",
            against=live.number,
        )
    version = ModelVersion(
        id=trained.version_id,
        project_id=job.project_id,
        number=repository.newest_number(session, job.project_id) + 1,
        job_id=job.id,
        snapshot_id=job.id,
        state=ModelState.CANDIDATE,
        label_ids=[str(label_id) for label_id in trained.label_ids],
        weights_prefix=trained.weights_prefix,
        card=trained.card,
        metrics=trained.metrics,
        gate=verdict,
    )
    session.add(version)
    session.flush()
    _record(session, "model.created", version, actor_id=job.created_by)
    if gate.opens(verdict):
        _go_live(session, version, action="model.promoted_by_gate", actor_id=None)
    return version


def predict_after_training(session: Session, job: Job, version: ModelVersion) -> Job | None:
    """Let a version that went live look at the photos at once, if its training was asked to."""
    if version.state != ModelState.LIVE or not TrainPayload.model_validate(job.payload).predict:
        return None
    return _predict(session, version, job.created_by)


def promote(session: Session, version: ModelVersion, *, actor_id: UUID | None) -> Job:
    """Make a version live, whatever its gate said; returns the job that renews the suggestions."""
    projects.hold_project(session, version.project_id)
    session.refresh(version)
    if version.state == ModelState.LIVE:
        raise Conflict(f"Version {version.number} is live already.")
    _go_live(session, version, action="model.promoted", actor_id=actor_id)
    return _predict(session, version, actor_id)


def hold_live_version(session: Session, project_id: UUID) -> ModelVersion:
    """The version to roll back from, which stays live until the transaction ends."""
    projects.hold_project(session, project_id)
    current = live_version(session, project_id)
    if current is None:
        raise Conflict("The project has no live model, so there is nothing to roll back.")
    return current


def roll_back(session: Session, project_id: UUID, *, actor_id: UUID | None) -> ModelVersion:
    """Make the version live again that was live before, and let it renew the suggestions.

    Rolled back twice, a project is two versions back: the rolled-back one does not return.
    """
    current = hold_live_version(session, project_id)
    previous = repository.live_before(session, current)
    if previous is None:
        raise Conflict(f"No version was live before version {current.number}.")
    # It keeps the time of its first promotion, which says what was live before it.
    first_promoted_at = previous.promoted_at
    _go_live(session, previous, action="model.rolled_back", actor_id=actor_id)
    previous.promoted_at = first_promoted_at
    session.flush()
    _predict(session, previous, actor_id)
    return previous


def _go_live(
    session: Session, version: ModelVersion, *, action: str, actor_id: UUID | None
) -> None:
    before = live_version(session, version.project_id)
    if before is not None:
        # The index that allows one live version looks at every statement by itself.
        _move(session, before, ModelState.RETIRED)
        # Above every version that was live, so that its entity tag is none of theirs.
        version.version = max(version.version, before.version)
    _move(session, version, ModelState.LIVE)
    replaced = {"live": before.number} if before else None
    _record(session, action, version, actor_id=actor_id, before=replaced)


def _move(session: Session, version: ModelVersion, state: ModelState) -> None:
    version.state = state
    version.version += 1
    if state is ModelState.LIVE:
        version.promoted_at, version.retired_at = now(), None
    else:
        version.retired_at = now()
    session.flush()


def _record(
    session: Session,
    action: str,
    version: ModelVersion,
    *,
    actor_id: UUID | None,
    before: dict[str, Any] | None = None,
) -> None:
    audit.record(
        session,
        action,
        "model_version",
        version.id,
        actor_id=actor_id,
        project_id=version.project_id,
        before=before,
        after={
            "number": version.number,
            "state": version.state,
            "gate": version.gate.get("passed"),
        },
    )
