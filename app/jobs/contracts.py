"""What `app` and the workers agree on: the payload of each job kind, its task and its queue.

A task takes the job's id, a chunk's task also the chunk's number; everything else is in the row.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app.core.queue import Queue
from app.jobs.models import JobKind


@dataclass(frozen=True)
class Route:
    """Where the doorbells of a job kind ring."""

    task: str
    queue: Queue
    chunk_task: str | None = None


ROUTES: dict[JobKind, Route] = {
    JobKind.TRAIN: Route("worker.tasks.train.run", Queue.TRAIN),
    JobKind.PREDICT: Route(
        "worker.tasks.predict.run", Queue.INFER, chunk_task="worker.tasks.predict.run_chunk"
    ),
    JobKind.IMPORT: Route("worker.tasks.import_.run", Queue.CPU),
    JobKind.EXPORT: Route("worker.tasks.export.run", Queue.CPU),
    JobKind.EXPORT_MODEL: Route("worker.tasks.export_model.run", Queue.TRAIN),
    JobKind.PURGE: Route("worker.tasks.purge.run", Queue.CPU),
}


class Payload(BaseModel):
    """Base of all payloads. A worker that meets an unknown member says so."""

    model_config = ConfigDict(extra="forbid")


class LentGroups(BaseModel):
    """Context groups of another project: the group of each label key, and whose they are."""

    model_config = ConfigDict(extra="forbid")

    origin: str
    groups: dict[str, int]


class TrainPayload(Payload):
    """How to train; what is unset the worker chooses by the data and the machine.

    With `grow_from` only the labels that this model version does not know are learned.
    """

    seed: int = Field(0, ge=0)
    mode: str | None = None
    resolution: int | None = Field(None, ge=32)
    epochs: int | None = Field(None, ge=1)
    time_budget_seconds: float | None = Field(None, gt=0)
    backbone: str | None = None
    predict: bool = True
    grow_from: UUID | None = None
    lent_groups: LentGroups | None = None


class PredictPayload(Payload):
    """Without `image_ids` every photo that is ready is looked at."""

    model_version_id: UUID
    image_ids: list[UUID] | None = None


class ImportPayload(Payload):
    """A file that was uploaded to `blob_key`, in one of the formats of `exchange`."""

    format: str
    blob_key: str
    file_name: str
    options: dict[str, Any] = Field(default_factory=dict)


class ExportPayload(Payload):
    format: str
    split: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class ExportModelPayload(Payload):
    """With `student_resolution` a student that sees so many pixels a side is distilled first."""

    model_version_id: UUID
    student_resolution: int | None = Field(None, ge=32)
    eight_bits: bool = False


class PurgePayload(Payload):
    """A deleted project; without one, whatever was deleted before a moment."""

    project_id: UUID | None = None
    before: AwareDatetime | None = None


class FileResult(BaseModel):
    """The file that a job made, as its result says."""

    blob_key: str
    file_name: str = Field(examples=["boards-coco.zip"])
    media_type: str = Field(examples=["application/zip"])
    byte_size: int


class FormFigures(BaseModel):
    """How a model does in one of its forms, on photos that it did not learn from.

    A form is `version`, `student`, `model.onnx` or `int8.onnx`. `largest_difference` is that of any
    probability from the model's own in PyTorch, which may compute in bfloat16; `photos_per_second`
    counts from decoded pixels to probabilities.
    """

    form: str
    map: float | None
    largest_difference: float | None = None
    photos_per_second: float | None = None


class ExportModelResult(FileResult):
    """`threads` are those that the files were timed with."""

    photos: int
    threads: int
    forms: list[FormFigures]
