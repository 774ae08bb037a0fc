"""What a listing of images can be narrowed by, and the orders it can have. Pure descriptions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from app.core.errors import Invalid
from app.images.models import ImageState, Split


class Knowledge(StrEnum):
    """What is known about one label of an image; `unknown` when nobody has decided it."""

    PRESENT = "present"
    ABSENT = "absent"
    UNSURE = "unsure"
    UNKNOWN = "unknown"


class Order(StrEnum):
    """Sort orders; a leading minus means downwards. `priority` is the live model's uncertainty."""

    NEWEST = "-created_at"
    OLDEST = "created_at"
    LAST_CAPTURED = "-captured_at"
    FIRST_CAPTURED = "captured_at"
    MOST_URGENT = "-priority"
    LEAST_URGENT = "priority"
    FILE_NAME = "file_name"
    FILE_NAME_DOWN = "-file_name"

    @property
    def descending(self) -> bool:
        return self.value.startswith("-")

    @property
    def column(self) -> str:
        return self.value.removeprefix("-")


@dataclass(frozen=True)
class LabelFilter:
    label_id: UUID
    knowledge: Knowledge


@dataclass(frozen=True)
class ImageFilter:
    """Which images are wanted; what is None or empty does not matter. All conditions hold."""

    labels: tuple[LabelFilter, ...] = ()
    state: ImageState | None = None
    split: Split | None = None
    capture: dict[str, str] = field(default_factory=dict)
    captured_from: datetime | None = None
    captured_until: datetime | None = None
    file_name: str | None = None
    has_pseudo_labels: bool | None = None
    reviewed: bool | None = None
    annotated: bool | None = None
    burst_id: UUID | None = None


def parse_label_filter(text: str, ids_by_key: Mapping[str, UUID]) -> LabelFilter:
    """`scratch` or `scratch:absent`. Raises `Invalid` for labels and values that do not exist."""
    key, _, value = text.partition(":")
    if key not in ids_by_key:
        raise Invalid(f"unknown label: {key}")
    try:
        return LabelFilter(ids_by_key[key], Knowledge(value or Knowledge.PRESENT))
    except ValueError as error:
        allowed = ", ".join(Knowledge)
        raise Invalid(f"{value} is none of {allowed}.") from error
