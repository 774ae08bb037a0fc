"""What the project and label routes read and write."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.core.errors import Invalid
from app.core.pagination import MAX_LIMIT
from app.projects.models import Counter, RolloutStage
from app.projects.rules import COLOUR_PATTERN, KEY_PATTERN, LONGEST_WORD, SLUG_PATTERN

Slug = Annotated[
    str, Field(pattern=SLUG_PATTERN, min_length=1, max_length=LONGEST_WORD, examples=["boards"])
]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S", examples=["Boards"])]
Description = Annotated[str, Field(max_length=2000)]
Backbone = Annotated[
    str,
    Field(
        min_length=1,
        max_length=500,
        examples=["kizu-small"],
        description="`kizu-small`, or an open_clip name with its weights.",
    ),
]
TimeZone = Annotated[
    str,
    Field(
        examples=["Asia/Tokyo"],
        description="IANA zone of the factory: buckets, and camera times without a zone.",
    ),
]
HourlyCost = Annotated[
    Decimal, Field(ge=0, max_digits=12, decimal_places=2, description="Of one reviewer.")
]
Currency = Annotated[str, Field(examples=["JPY"], description="ISO 4217.")]
Rate = Annotated[float, Field(ge=0, le=1)]
ControlRate = Annotated[Rate, Field(description="Share reviewed without suggestions.")]
AuditRate = Annotated[Rate, Field(description="Share of auto-accepted labels checked blindly.")]
EvaluationRate = Annotated[Rate, Field(description="Share of new photos that never train.")]
GateMargin = Annotated[
    Rate, Field(description="AP that a new model may lose on a guarded label and still go live.")
]

Key = Annotated[
    str, Field(pattern=KEY_PATTERN, min_length=1, max_length=LONGEST_WORD, examples=["scratch"])
]
Names = Annotated[
    dict[Literal["ja", "en"], Annotated[str, Field(max_length=200)]],
    Field(min_length=1, examples=[{"ja": "傷", "en": "Scratch"}]),
]
Prompts = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=300)]],
    Field(
        max_length=20,
        examples=[["a photo of a part with a scratch"]],
        description="English sentences. Left out or empty: from the glossary, by the names.",
    ),
]
Hotkey = Annotated[
    str | None,
    Field(
        max_length=3,
        examples=["k"],
        description="One character; not x, u, s, h, ?, +, - or a digit.",
    ),
]
Colour = Annotated[str, Field(pattern=COLOUR_PATTERN, examples=["#c2452d"])]
MissCost = Annotated[
    float, Field(gt=0, le=1e6, description="What a missed defect costs beside a false alarm's 1.")
]


class Edit(BaseModel):
    """The members to change; those left out stay as they are."""

    model_config = ConfigDict(extra="forbid")

    may_be_emptied: ClassVar[frozenset[str]] = frozenset()

    def changes(self) -> dict[str, Any]:
        """Raises `Invalid` for a null where there must be something."""
        given = self.model_dump(exclude_unset=True)
        empty = [n for n, v in given.items() if v is None and n not in self.may_be_emptied]
        if empty:
            raise Invalid(
                f"{', '.join(empty)} cannot be null.",
                errors=[{"pointer": f"#/{name}", "detail": "null"} for name in empty],
            )
        return given


class ProjectIn(BaseModel):
    """A new project. Settings left out get Kizu's defaults."""

    model_config = ConfigDict(extra="forbid")

    slug: Slug
    name: Name
    description: Description = ""
    stage: RolloutStage = RolloutStage.ASSIST
    backbone: Backbone = "kizu-small"
    time_zone: TimeZone = "Asia/Tokyo"
    hourly_cost: HourlyCost = Decimal(3000)
    currency: Currency = "JPY"
    control_rate: ControlRate = 0.1
    audit_rate: AuditRate = 0.05
    evaluation_rate: EvaluationRate = 0.2
    gate_margin: GateMargin = 0.05
    simulated: bool = Field(False, description="Played by a program: its times are not people's.")


class ProjectEdit(Edit):
    name: Name | None = None
    description: Description | None = None
    stage: RolloutStage | None = None
    backbone: Backbone | None = None
    time_zone: TimeZone | None = None
    hourly_cost: HourlyCost | None = None
    currency: Currency | None = None
    control_rate: ControlRate | None = None
    audit_rate: AuditRate | None = None
    evaluation_rate: EvaluationRate | None = None
    gate_margin: GateMargin | None = None
    is_archived: bool | None = Field(None, description="An archived project can only be read.")


class ProjectOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    slug: Slug
    name: str
    description: str
    stage: RolloutStage
    backbone: str
    time_zone: str
    hourly_cost: float
    currency: str
    control_rate: float
    audit_rate: float
    evaluation_rate: float
    gate_margin: float
    simulated: bool
    archived_at: datetime | None
    created_at: datetime
    version: int
    counters: dict[Counter, int] = Field(
        {}, examples=[{"images": 1200, "ready": 1198, "rejected": 2, "annotated": 60}]
    )


class ProjectQuery(BaseModel):
    """One page of projects."""

    model_config = ConfigDict(extra="forbid")

    include_archived: bool = False
    cursor: str | None = Field(None, description="`next_cursor` of the page before.")
    limit: int = Field(50, ge=1, le=MAX_LIMIT, description="Rows per page.")


class LabelIn(BaseModel):
    """A new label, added after the others."""

    model_config = ConfigDict(extra="forbid")

    key: Key
    names: Names
    prompts: Prompts = []
    hotkey: Hotkey = None
    colour: Colour | None = Field(None, description="Left out: the next one of a palette.")
    miss_cost: MissCost = 1.0
    is_guarded: bool = Field(True, description="A model that is worse on it does not go live.")


class LabelEdit(Edit):
    may_be_emptied = frozenset({"hotkey"})

    key: Key | None = None
    names: Names | None = None
    prompts: Prompts | None = None
    hotkey: Hotkey = None
    colour: Colour | None = None
    miss_cost: MissCost | None = None
    is_guarded: bool | None = None


class LabelOut(BaseModel):
    """A class of the taxonomy. Statements refer to its id, so every member here may change."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    key: Key
    names: dict[str, str]
    prompts: list[str]
    hotkey: str | None
    colour: str
    miss_cost: float
    is_guarded: bool
    position: int
    archived_at: datetime | None
    created_at: datetime
    version: int


class LabelOrder(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: list[Key] = Field(
        max_length=1000, description="Every label that is not archived, in the order wanted."
    )


class GlossaryOut(BaseModel):
    """What the glossary says about a name; empty where it knows none."""

    phrases: list[str] = Field(examples=[["a scratch", "a scratch mark"]])
    prompts: list[str] = Field(examples=[["a photo of a part with a scratch"]])
