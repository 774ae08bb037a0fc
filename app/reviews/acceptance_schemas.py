"""What the routes of automatic acceptance read and write."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from app.projects.models import RolloutStage
from app.pseudolabels.models import ContractEnd
from app.training.promises import PROMISED_SHARES

AllowedError = Annotated[
    float,
    Field(
        description="Of a label's accepted answers, the share that may be wrong.",
        json_schema_extra={"enum": list(PROMISED_SHARES)},
    ),
]


class ContractIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    allowed_error: AllowedError


class AuditOut(BaseModel):
    """What people said blindly, and the share that is wrong at most, with 95 % confidence."""

    audited: int
    errors: int
    upper_bound: float | None


class ThresholdsOut(BaseModel):
    """From which confidence on an answer is accepted; null: too little is promised about it."""

    present: float | None
    absent: float | None


class LabelAcceptanceOut(BaseModel):
    label: str = Field(examples=["scratch"])
    allowed_error: float | None = Field(description="Null: nothing was ever accepted about it.")
    since: datetime | None
    ended_at: datetime | None
    end: ContractEnd | None = Field(description="`breached`: audits found more wrong than allowed.")
    takes_back: bool = Field(description="What was accepted goes back to people.")
    thresholds: ThresholdsOut = Field(description="Of the live version.")
    accepted: int = Field(description="Accepted answers that stand and nobody has checked.")
    audit: AuditOut


class AcceptanceOut(BaseModel):
    stage: RolloutStage = Field(description="Answers are accepted in stage `auto` only.")
    audit_rate: float
    labels: list[LabelAcceptanceOut]
    clean_images: AuditOut = Field(
        description="Audited photos on which only absence had been accepted; an error is one that "
        "shows such a label after all."
    )
