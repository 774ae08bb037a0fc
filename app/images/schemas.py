"""What the image routes read and write."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from app.core.errors import Invalid
from app.images.models import ImageState, Split
from app.images.service import Capture

Word = Annotated[str, Field(min_length=1, max_length=200)]


class CaptureFields(BaseModel):
    line: Word | None = Field(None, examples=["L2"])
    station: Word | None = Field(None, examples=["AOI-1"])
    camera: Word | None = Field(None, examples=["top"])
    lot: Word | None = Field(None, examples=["2026-11-A"])
    part: Word | None = Field(None, examples=["PCB-1234"])
    captured_at: datetime | None = Field(
        None, description="Without a zone it is the project's local time. Years 1900 to 9998."
    )


class CaptureIn(CaptureFields):
    """Where and when a photo was taken. Further members are kept as its details."""

    model_config = ConfigDict(extra="allow")

    split: Split | None = Field(
        None, description="`test` or `evaluation` as the sender's data set says; else it is drawn."
    )

    def to_capture(self) -> Capture:
        named = {name: getattr(self, name) for name in CaptureIn.model_fields}
        return Capture(**named, details=self.model_extra or {})


class CaptureEdit(CaptureFields):
    """The members to change; those left out stay as they are."""

    model_config = ConfigDict(extra="forbid")

    details: dict[str, Any] = Field(default_factory=dict, description="Replaces all details.")


class ImageOut(BaseModel):
    """A photo of a project. Sizes in pixels, as shown (EXIF orientation applied)."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    file_name: str = Field(examples=["board-0001.png"])
    sha256: str
    media_type: str = Field(examples=["image/png"])
    byte_size: int
    width: int | None
    height: int | None
    bit_depth: int | None
    state: ImageState
    reason: str | None = Field(examples=["corrupt: The file ends in the middle."])
    split: Split
    line: str | None
    station: str | None
    camera: str | None
    lot: str | None
    part: str | None
    captured_at: datetime | None
    details: dict[str, Any]
    priority: float = Field(description="How much a person's look is worth; highest first.")
    reviewed_at: datetime | None
    created_at: datetime
    version: int


Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class ContentsIn(BaseModel):
    """Photos by the SHA-256 of their bytes, in lower-case hexadecimal."""

    model_config = ConfigDict(extra="forbid")

    sha256: list[Digest] = Field(max_length=1000)


class KnownContentOut(BaseModel):
    """A photo that is there, and the name that it was stored under."""

    model_config = ConfigDict(from_attributes=True)

    sha256: str
    image_id: UUID
    file_name: str = Field(examples=["board-0001.png"])


class KnownContentsOut(BaseModel):
    """Those of the photos asked about that the project has; the others are not named."""

    items: list[KnownContentOut]


class UploadStatus(StrEnum):
    CREATED = "created"
    ALREADY_THERE = "already_there"
    REJECTED = "rejected"


class Refusal(BaseModel):
    """Why one file of an upload was not accepted."""

    type: str = Field(examples=["/problems/image-rejected"])
    title: str = Field(examples=["This file is not accepted"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["The file is empty."])
    reason: str | None = Field(None, examples=["empty"])


class UploadItem(BaseModel):
    """What became of one file, in the order of the request."""

    file_name: str
    status: UploadStatus
    image: ImageOut | None = None
    problem: Refusal | None = None


class UploadOut(BaseModel):
    created: int = Field(examples=[2])
    already_there: int = Field(examples=[1])
    rejected: int = Field(examples=[0])
    items: list[UploadItem]


_Metadata = TypeAdapter(CaptureIn | list[CaptureIn])


def parse_metadata(text: str | None, file_count: int) -> list[Capture]:
    """One capture per file, from one object for all of them or a list with one for each.

    Raises `Invalid` for anything else.
    """
    if text is None or not text.strip():
        return [Capture()] * file_count
    try:
        given = _Metadata.validate_json(text)
    except ValidationError as error:
        fields = [
            {"pointer": "#/metadata/" + "/".join(map(str, e["loc"][1:])), "detail": e["msg"]}
            for e in error.errors(include_url=False, include_input=False)
        ]
        raise Invalid("The form field `metadata` is not valid.", errors=fields) from error
    if isinstance(given, CaptureIn):
        return [given.to_capture()] * file_count
    if len(given) != file_count:
        raise Invalid(f"`metadata` lists {len(given)} entries for {file_count} files.")
    return [one.to_capture() for one in given]
