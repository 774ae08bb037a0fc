"""What the training routes read and write."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.annotations.models import LabelValue
from app.training.history import Way
from app.training.models import ModelState


class TrainingMode(StrEnum):
    """`tune` trains the backbone too, `frozen` only the heads; `auto` is what it recommends."""

    AUTO = "auto"
    TUNE = "tune"
    FROZEN = "frozen"


class TrainingScope(StrEnum):
    """`new_labels` leaves the live version's labels as they are and adds those it does not know."""

    ALL = "all"
    NEW_LABELS = "new_labels"


class TrainingIn(BaseModel):
    """How to train; everything left out is chosen by Kizu."""

    model_config = ConfigDict(extra="forbid")

    scope: TrainingScope = TrainingScope.ALL
    seed: int = Field(0, ge=0, lt=2**31, description="Equal seeds draw equally.")
    mode: TrainingMode | None = None
    resolution: int | None = Field(None, ge=32, le=1024, description="Pixels a side.")
    epochs: int | None = Field(
        None, ge=1, le=1000, description="Passes over the labelled photos before pseudo-labels."
    )
    time_budget_seconds: float | None = Field(
        None, ge=1, le=7 * 86_400, description="Plan less where it would take longer."
    )
    backbone: str | None = Field(
        None,
        min_length=1,
        max_length=500,
        examples=["ViT-B-16@laion2b_s34b_b88k"],
        description="`kizu-small`, or an open_clip name with `@` and published weights or a file.",
    )
    predict: bool = Field(True, description="Suggest labels at once when the version goes live.")
    groups_from: str | None = Field(
        None,
        min_length=1,
        max_length=60,
        examples=["boards"],
        description="Another project (its slug) whose context groups are taken, label by label "
        "key, while fewer than 100 photos are labelled here.",
    )

    @model_validator(mode="after")
    def _keep_what_the_live_version_looks_with(self) -> Self:
        looks = (self.mode, self.resolution, self.backbone)
        if self.scope is TrainingScope.NEW_LABELS and any(one is not None for one in looks):
            raise ValueError(
                "New labels are learned on what the live version sees: leave out mode, resolution "
                "and backbone."
            )
        return self


class PredictionIn(BaseModel):
    """Which model version looks at the project's photos."""

    model_config = ConfigDict(extra="forbid")

    model_version_id: UUID | None = Field(None, description="The live one when left out.")


class ModelExportIn(BaseModel):
    """How a model version leaves Kizu for a computer on the line."""

    model_config = ConfigDict(extra="forbid")

    student_resolution: int | None = Field(
        None,
        ge=32,
        le=1024,
        examples=[112],
        description="Distil a student first: kizu-small, on photos of so many pixels a side.",
    )
    eight_bits: bool = Field(
        False, description="Also `int8.onnx`, quicker and smaller; its accuracy is stated."
    )


class ModelOut(BaseModel):
    """A model version: what it is, how well it does, what the gate says about it."""

    model_config = ConfigDict(from_attributes=True, protected_namespaces=())

    id: UUID
    number: int = Field(examples=[3])
    state: ModelState
    created_at: datetime
    promoted_at: datetime | None
    retired_at: datetime | None
    job_id: UUID
    snapshot_id: UUID
    labels: list[str] = Field(description="Label keys, in the order of the model's columns.")
    metrics: dict[str, Any] = Field(
        description="On photos that it did not learn from.",
        examples=[{"images": 120, "map": {"value": 0.81, "low": 0.77, "high": 0.84}}],
    )
    gate: dict[str, Any] = Field(
        examples=[{"passed": True, "reason": "It is not worse than version 2.", "labels": {}}]
    )


class ModelDetailOut(ModelOut):
    """The same with the whole card: calibration, thresholds, configuration, counts."""

    card: dict[str, Any] = Field(
        description="As it lies beside the weights: its labels have the keys of that training."
    )
    snapshot_sha256: str
    snapshot_counts: dict[str, Any]


class LiveChangeOut(BaseModel):
    """A version that went live, and who or what made it so."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    number: int = Field(examples=[3])
    replaced: int | None = Field(
        description="The number of the version that was live before.", examples=[2]
    )
    way: Way
    actor_id: UUID | None = Field(description="Who decided it; null where the gate did.")
    actor: str | None = Field(examples=["Sato"])


class DoubtfulLabelOut(BaseModel):
    """What a person said about a photo, and what a model that did not learn from it makes of it."""

    image_id: UUID
    label: str
    value: LabelValue = Field(description="What people say now.")
    probability: float = Field(description="That this is right.", examples=[0.02])
