"""What the exchange routes and jobs read and write."""

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict, Field

from app.exchange.detection import Format, ImportFormat
from app.images.models import Split
from app.jobs.contracts import FileResult

LISTED = 100


class ImportOptions(BaseModel):
    """How to understand a file."""

    model_config = ConfigDict(extra="forbid")

    format: ImportFormat = Field(ImportFormat.AUTO, description="`auto`: by the content.")
    create_labels: bool = Field(False, description="Add labels that the project lacks.")
    default_split: Split | None = Field(
        None, description="For photos whose split the file does not say; else it is drawn."
    )
    unlisted_absent: bool | None = Field(
        None,
        description="Whether labels that a row does not name are absent. Left out: as the format "
        "says (a plain pack and a Label Studio annotation are full answers; CSV and COCO are not "
        "unless they say so).",
    )


class ExportIn(BaseModel):
    """What to export."""

    model_config = ConfigDict(extra="forbid")

    format: Format
    split: Split | None = Field(None, description="Only this split.")
    include_images: bool = Field(False, description="Also the photos, in a zip.")
    include_pseudo_labels: bool = Field(
        False, description="Also what models say and no person has confirmed, marked as such."
    )
    only_complete: bool = Field(
        False, description="Only photos of which people decided every label."
    )


class Refused(BaseModel):
    """A file that was not taken in, and why."""

    file_name: str
    detail: str


class ImportReport(BaseModel):
    """What an import did. Lists end after 100 entries, counts do not."""

    created: int = Field(0, description="Photos that are new.")
    already_there: int = Field(0, description="Photos that the project had.")
    rejected: int = Field(0, description="Files that can be no photo.")
    annotations: int = Field(0, description="Photos about which the file said something new.")
    unchanged: int = Field(0, description="Photos about which it said nothing new.")
    kept_decisions: int = Field(
        0, description="Labels that people had decided otherwise; their word stands."
    )
    suggestions_skipped: int = Field(0, description="What models said: no statement of people.")
    created_labels: list[str] = []
    unknown_labels: dict[str, int] = Field({}, description="How often each was named.")
    unmatched: int = Field(0, description="Rows whose photo is neither in the file nor here.")
    bad_rows: int = 0
    rejected_files: list[Refused] = []
    unmatched_files: list[Refused] = []
    row_errors: list[str] = []

    @property
    def is_clean(self) -> bool:
        return not (self.rejected or self.unmatched or self.bad_rows or self.unknown_labels)

    def lines(self) -> Iterator[str]:
        """What the import did, for a terminal or a log; what went wrong comes last."""
        yield f"Photos: {self.created} new, {self.already_there} already there."
        yield f"Labels stated about {self.annotations} photos; {self.unchanged} were as stated."
        if self.created_labels:
            yield f"New labels: {', '.join(self.created_labels)}."
        if self.kept_decisions:
            yield f"Decisions of people that the file contradicts, kept: {self.kept_decisions}."
        if self.suggestions_skipped:
            yield f"Labels that only a model had said, left out: {self.suggestions_skipped}."
        yield from self.complaints()

    def complaints(self) -> Iterator[str]:
        """What was not taken in, and why."""
        for word, count in self.unknown_labels.items():
            yield f"Unknown label {word}: named {count} times; create it to take it in."
        for refused in self.rejected_files:
            yield f"Not accepted: {refused.file_name}: {refused.detail}"
        for refused in self.unmatched_files:
            yield f"No such photo: {refused.file_name}: {refused.detail}"
        yield from self.row_errors

    def reject(self, file_name: str, detail: str) -> None:
        self.rejected += 1
        if len(self.rejected_files) < LISTED:
            self.rejected_files.append(Refused(file_name=file_name, detail=detail))

    def miss(self, file_name: str, detail: str) -> None:
        self.unmatched += 1
        if len(self.unmatched_files) < LISTED:
            self.unmatched_files.append(Refused(file_name=file_name, detail=detail))

    def blame_row(self, sentence: str) -> None:
        self.bad_rows += 1
        if len(self.row_errors) < LISTED:
            self.row_errors.append(sentence)

    def note_unknown(self, word: str) -> None:
        if word in self.unknown_labels or len(self.unknown_labels) < LISTED:
            self.unknown_labels[word] = self.unknown_labels.get(word, 0) + 1


class ExportResult(FileResult):
    """The file that an export made."""

    images: int
    missing_photos: int = Field(0, description="Photos whose bytes are lost; their rows are kept.")
