"""What the catalog routes read and write."""

from collections.abc import Mapping
from typing import Annotated, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from app.annotations.models import LabelValue, Source
from app.catalog.filters import ImageFilter, Order, parse_label_filter
from app.catalog.search import MOST_RESULTS, Found, SearchState
from app.catalog.service import Entry
from app.core.pagination import MAX_LIMIT
from app.images.models import ImageState, Split
from app.images.schemas import ImageOut

CAPTURE_FIELDS = ("line", "station", "camera", "lot", "part")


class FilterQuery(BaseModel):
    """What images can be narrowed by. A parameter that does not exist is refused, not ignored."""

    model_config = ConfigDict(extra="forbid")

    label: list[str] = Field(
        default_factory=list,
        description="`key` or `key:value`, value one of present, absent, unsure, unknown; "
        "several must all hold.",
        examples=[["scratch:present"]],
    )
    state: ImageState | None = None
    split: Split | None = None
    line: str | None = None
    station: str | None = None
    camera: str | None = None
    lot: str | None = None
    part: str | None = None
    captured_from: AwareDatetime | None = Field(None, description="Inclusive.")
    captured_until: AwareDatetime | None = Field(None, description="Exclusive.")
    file_name: str | None = Field(None, description="Part of the name.", max_length=200)
    has_pseudo_labels: bool | None = Field(None, description="Suggestions wait.")
    reviewed: bool | None = Field(None, description="People are done with it.")
    annotated: bool | None = Field(None, description="Somebody stated anything.")
    burst: UUID | None = Field(None, description="The `burst_id` of photos that look alike.")

    def to_filter(self, label_ids: Mapping[str, UUID]) -> ImageFilter:
        """Raises `Invalid` for a label that the project does not have."""
        capture = {name: getattr(self, name) for name in CAPTURE_FIELDS}
        return ImageFilter(
            labels=tuple(parse_label_filter(text, label_ids) for text in self.label),
            state=self.state,
            split=self.split,
            capture={name: value for name, value in capture.items() if value is not None},
            captured_from=self.captured_from,
            captured_until=self.captured_until,
            file_name=self.file_name,
            has_pseudo_labels=self.has_pseudo_labels,
            reviewed=self.reviewed,
            annotated=self.annotated,
            burst_id=self.burst,
        )


class ListingQuery(FilterQuery):
    """The query of a listing."""

    sort: Order = Order.NEWEST
    fold: bool = Field(False, description="One photo stands for its burst of near-duplicates.")
    cursor: str | None = Field(None, description="`next_cursor` of the page before.")
    limit: int = Field(50, ge=1, le=MAX_LIMIT, description="Rows per page.")


class SearchQuery(FilterQuery):
    """The query of a search: exactly one of `text`, `prompt` and `similar_to`."""

    text: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        pattern=r"\S",
        description="In English, or the name of a label, or a Japanese defect term.",
        examples=["rusty bolt"],
    )
    prompt: list[Annotated[str, Field(min_length=1, max_length=300, pattern=r"\S")]] = Field(
        default_factory=list, max_length=20, description="Sentences as they are; their mean counts."
    )
    similar_to: UUID | None = Field(None, description="The id of a photo.")
    limit: int = Field(50, ge=1, le=MOST_RESULTS, description="Photos, best first.")

    @model_validator(mode="after")
    def ask_one_thing(self) -> Self:
        asked = (self.text is not None, bool(self.prompt), self.similar_to is not None)
        if sum(asked) != 1:
            raise ValueError("say exactly one of text, prompt and similar_to")
        return self


class KnownLabel(BaseModel):
    value: LabelValue
    source: Source


class SuggestedLabel(BaseModel):
    """A pseudo-label that waits for a decision."""

    id: UUID
    label: str = Field(examples=["scratch"])
    value: LabelValue
    confidence: float = Field(examples=[0.93])


class CatalogItem(ImageOut):
    """A photo with what is known about its labels; labels that are missing are unknown."""

    labels: dict[str, KnownLabel]
    pseudo_labels: list[SuggestedLabel]
    burst_id: UUID | None = Field(description="Shared by photos in a row that look alike.")
    stands_for: int = Field(1, description="Photos of its burst, in a folded listing.")


class SearchHit(BaseModel):
    image: CatalogItem
    score: float = Field(description="Cosine; it compares within one search.", examples=[0.31])


class SearchOut(BaseModel):
    """`pending` while a worker reads the words, or has yet to see the photo: ask again."""

    state: SearchState
    prompts: list[str] = Field(description="The sentences that are looked for.")
    items: list[SearchHit] = Field(description="Best first.")


def describe(entry: Entry, keys: dict[UUID, str]) -> CatalogItem:
    """An entry as the API shows it, labels by key."""
    return CatalogItem(
        **ImageOut.model_validate(entry.image).model_dump(),
        burst_id=entry.image.burst_id,
        stands_for=entry.stands_for,
        labels={
            keys[label_id]: KnownLabel(value=known.value, source=known.source)
            for label_id, known in entry.truth.items()
        },
        pseudo_labels=[
            SuggestedLabel(
                id=open_one.id,
                label=keys[open_one.label_id],
                value=LabelValue(open_one.value),
                confidence=open_one.confidence,
            )
            for open_one in entry.pseudo_labels
        ],
    )


def describe_found(found: Found, keys: dict[UUID, str]) -> SearchOut:
    hits = [SearchHit(image=describe(entry, keys), score=score) for entry, score in found.hits]
    return SearchOut(state=found.state, prompts=list(found.prompts), items=hits)
