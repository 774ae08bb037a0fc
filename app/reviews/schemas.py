"""What the review routes read and write."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app.annotations.models import LabelValue
from app.annotations.schemas import ActiveSeconds, Values
from app.core.pagination import MAX_LIMIT
from app.images.models import Arm, Split
from app.reviews.models import Decision, Purpose, QueueOrder, Verdict

MAX_LEASES = 50
MAX_DECISIONS = 2000
Accepting = Literal[Verdict.ACCEPT, Verdict.REJECT]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class LeaseIn(Strict):
    """Which images to take next."""

    count: int = Field(1, ge=1, le=MAX_LEASES)
    purpose: Purpose = Field(
        Purpose.REVIEW,
        description="`annotate` serves evaluation and random images, without suggestions.",
    )
    order: QueueOrder = Field(
        QueueOrder.UNCERTAINTY,
        description="Order of the assisted images. `uncertainty`: highest mean entropy first; "
        "`margin`: closest call on any label first; `novelty`: least like the labelled photos "
        "first; `audit`: images that are checked blindly, and control images among them. "
        "Control images come in random order, whatever is asked for.",
    )
    label: str | None = Field(None, description="Only images with an open suggestion of it.")
    lot: str | None = Field(None, description="Only images of this lot.")
    image_ids: list[UUID] | None = Field(
        None, max_length=MAX_LEASES, description="These images and no others, if nobody holds them."
    )


class SuggestionOut(BaseModel):
    """A pseudo-label on the reviewer's screen."""

    id: UUID
    label: str = Field(examples=["scratch"])
    value: LabelValue
    confidence: float = Field(examples=[0.97])
    threshold: float = Field(examples=[0.9])
    heat_map: str | None = Field(
        description="Address of a grey PNG: where the model sees the label.",
        examples=["/api/v1/projects/parts/images/0198c3f2-…/heat-maps/scratch"],
    )


class LeaseOut(BaseModel):
    """An image that this reviewer holds until `expires_at`."""

    image_id: UUID
    file_name: str
    width: int | None
    height: int | None
    bit_depth: int | None
    media_type: str
    lot: str | None
    split: Split
    token: UUID = Field(description="Send it back with every call about this lease.")
    purpose: Purpose
    arm: Arm | None = Field(
        description="`control` and `audit`: answered without suggestions, by lot."
    )
    model_version_id: UUID | None
    leased_at: datetime
    expires_at: datetime
    suggestions: list[SuggestionOut]
    known: Values = Field(description="What is known about the image already.")
    draft: dict[str, Any] | None = Field(description="What this reviewer saved and not submitted.")


class LeasesOut(BaseModel):
    items: list[LeaseOut]


class HeartbeatIn(Strict):
    token: UUID
    draft: dict[str, Any] | None = Field(None, description="Unfinished work to keep.")


class LeaseTimesOut(BaseModel):
    image_id: UUID
    expires_at: datetime


class TokenIn(Strict):
    token: UUID


class SuggestionVerdict(Strict):
    pseudo_label_id: UUID
    verdict: Accepting


class SubmitIn(Strict):
    """A finished review of one image."""

    token: UUID
    decisions: list[SuggestionVerdict] = Field([], max_length=MAX_DECISIONS)
    additions: Values = {}
    is_complete: bool = Field(True, description="Labels that are not named are absent.")
    active_seconds: ActiveSeconds = None


class ReviewOut(BaseModel):
    """What a review left behind."""

    annotation_id: UUID
    image_id: UUID
    arm: Arm | None
    values: Values
    is_complete: bool
    active_seconds: ActiveSeconds
    accepted: int
    rejected: int
    added: int


class UndoIn(Strict):
    annotation_id: UUID | None = Field(None, description="Own submission; the newest if omitted.")


class UndoOut(BaseModel):
    annotation_id: UUID = Field(description="The row that takes it back.")
    undone_id: UUID
    image_id: UUID


class UndoManyIn(Strict):
    annotation_ids: list[UUID] = Field(min_length=1, max_length=MAX_DECISIONS)


class UndoManyOut(BaseModel):
    items: list[UndoOut]


class DecideIn(Strict):
    active_seconds: ActiveSeconds = None


class DecideManyIn(DecideIn):
    """Verdicts on many pseudo-labels; the time is divided over their images."""

    items: list[SuggestionVerdict] = Field(min_length=1, max_length=MAX_DECISIONS)


class DecisionOut(BaseModel):
    pseudo_label_id: UUID
    status: int = Field(examples=[200])
    image_id: UUID | None = None
    annotation_id: UUID | None = None
    label: str | None = None
    value: LabelValue | None = Field(None, description="What is known about the label now.")
    detail: str | None = Field(None, examples=["It was accepted before."])


class DecisionsOut(BaseModel):
    decided: int
    failed: int
    items: list[DecisionOut]


class DecisionQuery(BaseModel):
    """Which decisions to list."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    pseudo_label_id: UUID | None = None
    reviewer_id: UUID | None = None
    label: str | None = Field(None, description="A label's key.")
    start: AwareDatetime | None = Field(None, alias="from", description="Inclusive.")
    end: AwareDatetime | None = Field(None, alias="to", description="Exclusive.")
    cursor: str | None = Field(None, description="`next_cursor` of the page before.")
    limit: int = Field(50, ge=1, le=MAX_LIMIT, description="Rows per page.")


class DecisionRecordOut(BaseModel):
    """What one person decided about one label of one image, and what the model had said."""

    id: UUID
    created_at: datetime
    image_id: UUID
    label: str = Field(examples=["scratch"])
    reviewer_id: UUID
    verdict: Verdict
    value: LabelValue
    pseudo_label_id: UUID | None = Field(description="Empty when no suggestion named the label.")
    suggested_value: LabelValue | None
    was_shown: bool = Field(description="Whether the reviewer saw the suggestion.")
    confidence: float | None = Field(examples=[0.97])
    threshold: float | None = Field(examples=[0.9])
    model_version_id: UUID | None
    arm: Arm | None
    active_seconds: ActiveSeconds
    annotation_id: UUID
    is_undone: bool = Field(description="Its annotation was taken back, and so it counts nowhere.")


def describe_decision(
    decision: Decision, keys: Mapping[UUID, str], *, is_undone: bool
) -> DecisionRecordOut:
    """A decision as the API shows it: label keys, seconds."""
    of_row = {name: getattr(decision, name, None) for name in DecisionRecordOut.model_fields}
    seconds = None if decision.active_ms is None else decision.active_ms / 1000
    named = {"label": keys[decision.label_id], "active_seconds": seconds, "is_undone": is_undone}
    return DecisionRecordOut.model_validate(of_row | named)
