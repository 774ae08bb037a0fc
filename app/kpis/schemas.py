"""What the KPI routes write. Every figure carries how many rows it rests on."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from app.annotations.models import LabelValue
from app.core.pagination import MAX_LIMIT
from app.images.models import Arm
from app.reviews.models import Verdict


class Bucket(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


def _keep_moment(value: object) -> object:
    """Midnight written as a moment is one, although it could also be read as a day."""
    return datetime.fromisoformat(value) if isinstance(value, str) and "T" in value else value


DayOrMoment = Annotated[date | datetime, BeforeValidator(_keep_moment)]


class Figure(StrEnum):
    """Figures whose rows can be listed, under their names in the table."""

    TIME_SAVED = "time_saved"
    FINISHED_IMAGES = "finished_images"
    IMAGES_PER_HOUR = "images_per_hour"
    ACTIVE_TIME = "active_time"
    ACCEPTANCE_RATE = "acceptance_rate"
    PRECISION = "precision"
    RECALL = "recall"
    ABSENT_PRECISION = "absent_precision"
    QUEUE = "queue"
    AGREEMENT = "agreement"


class RowKind(StrEnum):
    """What happened to a photo. `cleared`: nobody had to open it."""

    FINISHED = "finished"
    CLEARED = "cleared"
    AUDIT = "audit"
    STATEMENT = "statement"
    DECISION = "decision"
    SUGGESTION = "suggestion"
    OPINION = "opinion"


class KpiQuery(BaseModel):
    """Which time, in the project's zone, and which line."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    start: DayOrMoment | None = Field(
        None, alias="from", description="First day, or moment. Default: 30 days before `to`."
    )
    end: DayOrMoment | None = Field(
        None, alias="to", description="Last day (included), or moment (excluded). Default: today."
    )
    bucket: Bucket = Bucket.DAY
    line: Annotated[str | None, BeforeValidator(lambda given: given or None)] = Field(
        None,
        max_length=200,
        pattern=r"^[^\x00]*$",
        description="Only photos of this line, the control arm's too.",
    )


class KpiRowQuery(KpiQuery):
    """The rows behind which figure."""

    figure: Figure
    label: str | None = Field(None, description="A label's key; for figures about suggestions.")
    cursor: str | None = Field(None, description="`next_cursor` of the page before.")
    limit: int = Field(50, ge=1, le=MAX_LIMIT, description="Rows per page.")


class FromAttributes(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class ShareOut(FromAttributes):
    """A proportion with its 95 % interval (Wilson)."""

    value: float = Field(examples=[0.94])
    low: float = Field(examples=[0.89])
    high: float = Field(examples=[0.97])
    count: int = Field(examples=[184], description="Decisions behind it.")


class TimeSavedOut(BaseModel):
    """Labeling time saved against the control arm, with its 95 % bootstrap interval."""

    hours: float = Field(examples=[12.4])
    low_hours: float | None = Field(examples=[10.1])
    high_hours: float | None = Field(examples=[14.9])
    money: float = Field(examples=[37200.0])
    low_money: float | None
    high_money: float | None
    currency: str = Field(examples=["JPY"])
    control_mean_seconds: float = Field(examples=[9.3])
    assisted_mean_seconds: float | None = Field(examples=[3.1])
    control_images: int
    assisted_images: int
    auto_accepted_images: int
    audit_seconds: float


class LabelQualityOut(BaseModel):
    """How good the suggestions about one label are.

    `precision`, `recall` and `absent_precision` rest on control and audit images only, where
    people did not see the suggestion; `decided_precision` on every decision, which may flatter.
    """

    label: str = Field(examples=["scratch"])
    acceptance_rate: ShareOut | None
    precision: ShareOut | None
    recall: ShareOut | None
    absent_precision: ShareOut | None
    decided_precision: ShareOut | None


class GainOut(FromAttributes):
    """The interval is that of the gain, as if both models had been tried on different photos."""

    first: float | None = Field(examples=[0.61])
    live: float | None = Field(examples=[0.78])
    gain: float | None = Field(examples=[0.17])
    low: float | None = Field(examples=[0.09])
    high: float | None = Field(examples=[0.25])


class LabelGainOut(BaseModel):
    label: str = Field(examples=["scratch"])
    ap: GainOut
    recall: GainOut


class DetectionGainOut(BaseModel):
    """The live model against the first, both on human evaluation labels."""

    first_version: int | None = Field(examples=[1])
    live_version: int | None = Field(examples=[4])
    map: GainOut
    labels: list[LabelGainOut]


class AgreementOut(BaseModel):
    """Krippendorff's alpha over images that two people or more labelled."""

    alpha: float = Field(examples=[0.91])
    pairs: int = Field(examples=[57], description="(Image, label) pairs behind it.")


class QueueOut(BaseModel):
    pending_pseudo_labels: int
    oldest_seconds: float | None = Field(description="Age of the open pseudo-label made first.")
    median_seconds: float | None


class LineOut(BaseModel):
    """What one line gives, against its own control arm."""

    line: str | None = Field(examples=["L2"], description="Null: photos that name none.")
    finished_images: int
    images_per_hour: float | None
    acceptance_rate: ShareOut | None
    time_saved: TimeSavedOut | None


class BucketOut(BaseModel):
    """One day, week or month of the series; hours saved add up to those of the period."""

    start: date = Field(description="First local day.")
    finished_images: int
    accepted: int
    rejected: int
    added: int
    acceptance_rate: float | None
    acceptance_low: float | None
    acceptance_high: float | None
    images_per_hour: float | None
    images_per_hour_low: float | None
    images_per_hour_high: float | None
    control_images: int
    control_mean_seconds: float | None
    assisted_images: int
    assisted_mean_seconds: float | None
    saved_hours: float | None
    saved_low_hours: float | None
    saved_high_hours: float | None


class KpisOut(BaseModel):
    """All KPIs of a project in a period."""

    simulated: bool = Field(
        description="The times come from a simulated reviewer, not from people at work."
    )
    start: datetime = Field(serialization_alias="from")
    end: datetime = Field(serialization_alias="to")
    time_zone: str = Field(examples=["Asia/Tokyo"])
    bucket: Bucket
    line: str | None
    time_saved: TimeSavedOut | None = Field(description="Null until a control image was reviewed.")
    acceptance_rate: ShareOut | None
    finished_images: int
    images_per_hour: float | None = Field(description="Timed ones, per hour of their time.")
    images_per_hour_low: float | None
    images_per_hour_high: float | None
    active_hours: float = Field(description="All reported time, whatever it was for.")
    labels: list[LabelQualityOut]
    detection_gain: DetectionGainOut
    agreement: AgreementOut | None
    queue: QueueOut
    lines: list[LineOut] = Field(description="Empty while no photo of the period names a line.")
    series: list[BucketOut]


class KpiRowOut(FromAttributes):
    """One row behind a figure. What is unknown, or does not apply, is null."""

    id: UUID
    at: datetime
    kind: RowKind
    image_id: UUID
    file_name: str | None = Field(description="Null once the photo was deleted.")
    line: str | None
    reviewer_id: UUID | None
    reviewer: str | None = Field(description="Name of who did it.")
    arm: Arm | None
    label: str | None = Field(examples=["scratch"])
    suggested_value: LabelValue | None
    stated_value: LabelValue | None
    verdict: Verdict | None
    seconds: float | None = Field(description="Active time.")
    contribution: float | None = Field(
        description="What the row adds. `time_saved`: seconds, which add up to it; shares: 1 or 0, "
        "whose mean it is; `finished_images`: 1; `images_per_hour` and `active_time`: active "
        "seconds; `queue`: seconds that it has waited."
    )
