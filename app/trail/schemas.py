"""What the routes of the audit trail read and write."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.core.audit import Flaw
from app.core.pagination import MAX_LIMIT

Text = Annotated[str, Field(max_length=200)]


class EventFilter(BaseModel):
    """Which events. Days are those of `time_zone`."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    project: Text | None = Field(
        None, description="A project's slug; its id when it was deleted.", examples=["boards"]
    )
    actor: UUID | None = Field(None, description="The id of the person who did it.")
    action: Text | None = Field(None, examples=["project.edited"])
    object_type: Text | None = Field(None, examples=["label"])
    first_day: date | None = Field(None, alias="from")
    last_day: date | None = Field(None, alias="to", description="Included.")
    time_zone: Text = Field("UTC", description="IANA zone.", examples=["Asia/Tokyo"])


class EventQuery(EventFilter):
    """One page of events."""

    cursor: str | None = Field(None, description="`next_cursor` of the page before.")
    limit: int = Field(50, ge=1, le=MAX_LIMIT, description="Rows per page.")


class ActorOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    display_name: str
    email: str


class EventOut(BaseModel):
    """Who did what to which object. Without an actor: Kizu itself, or a command."""

    id: int
    at: datetime
    actor: ActorOut | None
    project_id: UUID | None
    project: str | None = Field(description="Its slug, while there is one.", examples=["boards"])
    action: str = Field(examples=["label.edited"])
    object_type: str = Field(examples=["label"])
    object_id: str
    before: dict[str, Any] | None = Field(examples=[{"miss_cost": 1.0}])
    after: dict[str, Any] | None = Field(examples=[{"miss_cost": 5.0}])
    hash: str


class ChainOut(BaseModel):
    """Whether every event still is what was written, in its place."""

    is_intact: bool
    events: int = Field(description="Sound events, from the oldest on.")
    newest_hash: str = Field(
        description="Of the last sound event. Note it elsewhere: while a later trail contains it, "
        "nothing was cut off its end."
    )
    flaw: Flaw | None = Field(
        description="`edited`: the event differs from what was written. `unlinked`: one before it "
        "was removed or replaced."
    )
    flawed_id: int | None = Field(description="The first event with a flaw.")
