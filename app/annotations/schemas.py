"""What the annotation routes read and write."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.annotations.models import Annotation, LabelValue, Source

MAX_BULK = 5000
ActiveSeconds = Annotated[
    float | None,
    Field(ge=0, le=86_400, description="Time of focus and input, idle cut.", examples=[6.4]),
]
Values = Annotated[
    dict[str, LabelValue],
    Field(description="By label key.", examples=[{"scratch": "present", "dent": "absent"}]),
]


class AnnotationIn(BaseModel):
    """What a person states about one image."""

    model_config = ConfigDict(extra="forbid")

    values: Values = {}
    is_complete: bool = Field(False, description="Every label that is not named is absent.")
    active_seconds: ActiveSeconds = None


class AnnotationOut(BaseModel):
    id: UUID
    image_id: UUID
    author_id: UUID | None
    created_at: datetime
    source: Source
    values: Values
    is_complete: bool
    finishes_image: bool = Field(description="With it, people decided every label of the image.")
    active_seconds: ActiveSeconds
    arm: str | None = Field(description="Assisted or control, when it came from a review.")
    shown_model_version_id: UUID | None
    undoes_id: UUID | None = Field(description="The annotation that this row takes back.")


class ImageLabelOut(BaseModel):
    """What is known now about one label of an image."""

    label: str = Field(examples=["scratch"])
    value: LabelValue
    source: Source
    annotation_id: UUID
    updated_at: datetime


class BulkItem(AnnotationIn):
    image_id: UUID


class BulkIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    source: Source = Field(Source.IMPORT, description="`human` when people made these labels here.")
    items: list[BulkItem] = Field(min_length=1, max_length=MAX_BULK)


class BulkItemOut(BaseModel):
    """What became of one item, in the order of the request."""

    image_id: UUID
    status: int = Field(examples=[201])
    annotation_id: UUID | None = None
    detail: str | None = Field(None, examples=["unknown label: scrath"])


class BulkOut(BaseModel):
    created: int = Field(examples=[4998])
    failed: int = Field(examples=[2])
    items: list[BulkItemOut]


def milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def describe(
    annotation: Annotation, values: Mapping[UUID, str], keys: Mapping[UUID, str]
) -> AnnotationOut:
    """An annotation as the API shows it: label keys, seconds."""
    return AnnotationOut(
        id=annotation.id,
        image_id=annotation.image_id,
        author_id=annotation.author_id,
        created_at=annotation.created_at,
        source=Source(annotation.source),
        values={keys[label_id]: LabelValue(value) for label_id, value in values.items()},
        is_complete=annotation.is_complete,
        finishes_image=annotation.finishes_image,
        active_seconds=None if annotation.active_ms is None else annotation.active_ms / 1000,
        arm=annotation.arm,
        shown_model_version_id=annotation.shown_model_version_id,
        undoes_id=annotation.undoes_id,
    )
