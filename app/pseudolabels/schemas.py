"""What the prediction and pseudo-label routes read and write."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.annotations.models import LabelValue
from app.core.pagination import MAX_LIMIT
from app.images.models import Split
from app.pseudolabels.comparison import Finding
from app.pseudolabels.models import PseudoLabelState


class Order(StrEnum):
    MOST_CONFIDENT = "most_confident"
    LEAST_CONFIDENT = "least_confident"


class PseudoLabelQuery(BaseModel):
    """Which pseudo-labels to list, and how."""

    model_config = ConfigDict(extra="forbid")

    state: PseudoLabelState = PseudoLabelState.PENDING
    label: str | None = Field(None, description="A label's key.")
    model_version_id: UUID | None = None
    image_id: UUID | None = None
    value: LabelValue | None = None
    min_confidence: float | None = Field(None, ge=0, le=1)
    max_confidence: float | None = Field(None, ge=0, le=1)
    order: Order = Order.MOST_CONFIDENT
    cursor: str | None = Field(None, description="`next_cursor` of the page before.")
    limit: int = Field(50, ge=1, le=MAX_LIMIT, description="Rows per page.")


class PseudoLabelOut(BaseModel):
    """A model's confident opinion about one label of one image."""

    id: UUID
    image_id: UUID
    label: str = Field(examples=["scratch"])
    value: LabelValue
    confidence: float = Field(examples=[0.97], description="Calibrated probability of the value.")
    threshold: float = Field(examples=[0.9], description="What the confidence had to reach.")
    model_version_id: UUID
    state: PseudoLabelState
    created_at: datetime
    decided_at: datetime | None


class HistogramQuery(BaseModel):
    """Which open pseudo-labels to count."""

    model_config = ConfigDict(extra="forbid")

    label: str = Field(description="A label's key.")
    value: LabelValue = LabelValue.PRESENT


class ConfidenceBin(BaseModel):
    """Pseudo-labels whose confidence lies between `low` and `high`."""

    model_config = ConfigDict(from_attributes=True)

    low: float = Field(examples=[0.9])
    high: float = Field(examples=[0.91])
    count: int
    expected_wrong: float = Field(
        description="How many of them are wrong if confidence is what it says.", examples=[3.2]
    )


class HistogramOut(BaseModel):
    """Open pseudo-labels of one label by confidence; empty bins are left out."""

    bins: list[ConfidenceBin]


class MistakeOut(BaseModel):
    """An answer of people that a model version thinks is wrong."""

    image_id: UUID
    file_name: str
    label: str = Field(examples=["scratch"])
    value: LabelValue = Field(description="What people say.")
    probability: float = Field(
        description="That the label is present, as the version says.", examples=[0.97]
    )


class ComparisonQuery(BaseModel):
    """With which version to compare."""

    model_config = ConfigDict(extra="forbid")

    against: UUID | None = Field(None, description="A model version's id; the live one if unset.")
    limit: int = Field(
        12, ge=1, le=100, description="Changed answers of each kind, the largest swing first."
    )


class EstimateOut(BaseModel):
    """A figure with its bounds, which are null with fewer than ten positives."""

    model_config = ConfigDict(from_attributes=True)

    value: float = Field(examples=[0.81])
    low: float | None = Field(examples=[0.77])
    high: float | None = Field(examples=[0.84])


class LabelComparisonOut(BaseModel):
    """How well two versions rank the same photos by one label; null for what cannot be told."""

    label: str = Field(examples=["scratch"])
    photos: int = Field(description="Evaluation photos that people answered about the label.")
    positives: int
    ap: EstimateOut | None = Field(description="Average precision with its 95 % interval.")
    against_ap: EstimateOut | None
    difference: EstimateOut | None = Field(
        description="Of the two, with one-sided 95 % bounds of a paired bootstrap, as the gate's."
    )
    finding: Finding | None


class ChangedAnswerOut(BaseModel):
    """An answer that one of two versions has right and the other has not."""

    image_id: UUID
    file_name: str
    label: str = Field(examples=["scratch"])
    value: LabelValue = Field(description="What people say.")
    before: float = Field(description="Probability of the label, by the version compared with.")
    after: float = Field(description="Probability of the label, by this version.")


class ModelComparisonOut(BaseModel):
    """Two model versions on the evaluation photos that both have looked at."""

    number: int = Field(examples=[3])
    against: int = Field(examples=[2])
    photos: int
    labels: list[LabelComparisonOut]
    mended_count: int
    newly_wrong_count: int
    mended: list[ChangedAnswerOut]
    newly_wrong: list[ChangedAnswerOut]


class PredictionQuery(BaseModel):
    """Which photos' predictions to list."""

    model_config = ConfigDict(extra="forbid")

    split: Split | None = None
    cursor: str | None = Field(None, description="`next_cursor` of the page before.")
    limit: int = Field(50, ge=1, le=MAX_LIMIT, description="Rows per page.")


class PredictionOut(BaseModel):
    """What one model version says about one photo."""

    image_id: UUID
    probabilities: dict[str, float] = Field(
        description="Calibrated, by label key.", examples=[{"scratch": 0.91, "dent": 0.02}]
    )
    contexts: list[float] = Field(description="How much it belongs to each context group.")
    uncertainty: float = Field(description="Mean entropy of the labels in bits, 0 to 1.")
    margin: float = Field(description="Least distance of a probability to 0.5, 0 to 0.5.")
    novelty: float | None = Field(
        description="Distance to the nearest labelled photo, 0 to 1; above 0.5 it is unlike what "
        "is labelled. Null for versions that kept nothing to compare with."
    )
