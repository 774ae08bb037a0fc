"""What a batch of records states about photos, and how much of it is new to the project.

People's decisions are never overruled by a file, and what an earlier import stated is not stated
again: so importing a file twice changes nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from app.annotations import service as annotations
from app.annotations.models import KnownValue, LabelValue, Source
from app.annotations.service import Statement
from app.core.errors import NotFound
from app.exchange.labels import LabelBook, read_book
from app.exchange.matching import match
from app.exchange.records import Record
from app.exchange.schemas import ImportReport
from app.images import queue as image_queue
from app.projects import service as projects
from app.pseudolabels import service as pseudolabels

Values = dict[str, LabelValue]


@dataclass(frozen=True)
class Reading:
    """How the records of a table are understood. `declared`: the labels that the table has a
    place for; None when it has none, and then it speaks of all labels of the project."""

    project_id: UUID
    author_id: UUID | None
    declared: Sequence[str] | None
    unlisted_absent: bool | None

    def completes(self, record: Record) -> bool:
        return record.is_complete if self.unlisted_absent is None else self.unlisted_absent


def state(
    session: Session,
    known: Iterable[tuple[Record, UUID]],
    elsewhere: Sequence[Record],
    *,
    reading: Reading,
    report: ImportReport,
) -> None:
    """State what records say. Those of `known` came with their photo, others are looked up."""
    pairs = [*known, *_looked_up(session, elsewhere, reading, report)]
    ids = {image_id for _, image_id in pairs}
    image_queue.lock(session, reading.project_id, ids)
    book = read_book(session, reading.project_id)
    said: dict[UUID, Values] = {image_id: {} for image_id in ids}
    for record, image_id in pairs:
        said[image_id] |= _values(record, book, reading, report)
    news = _news(session, said, reading, report)
    outcomes = annotations.annotate_many(
        session,
        project_id=reading.project_id,
        author_id=reading.author_id,
        source=Source.IMPORT,
        statements=[Statement(image_id, values) for image_id, values in news.items()],
    )
    stated = [outcome.image_id for outcome in outcomes if outcome.annotation_id]
    pseudolabels.supersede_decided(session, reading.project_id, stated)
    report.annotations += len(stated)
    report.unchanged += sum(bool(values) for values in said.values()) - len(stated)


def _looked_up(
    session: Session, records: Sequence[Record], reading: Reading, report: ImportReport
) -> list[tuple[Record, UUID]]:
    found = []
    for record, image in zip(records, match(session, reading.project_id, records), strict=True):
        if isinstance(image, NotFound):
            report.miss(record.file_name, image.detail)
        else:
            found.append((record, image))
    return found


def _values(record: Record, book: LabelBook, reading: Reading, report: ImportReport) -> Values:
    """What people stated about a photo, by the project's keys; what models say is left out."""
    values: Values = {}
    for word, label_state in record.states.items():
        key = book.find(word)
        if not label_state.is_stated:
            report.suggestions_skipped += 1
        elif key is None:
            report.note_unknown(word)
        else:
            values[key] = label_state.value
    if not reading.completes(record):
        return values
    implied = book.keys if reading.declared is None else map(book.find, reading.declared)
    return {key: LabelValue.ABSENT for key in implied if key is not None} | values


def _news(
    session: Session, said: Mapping[UUID, Values], reading: Reading, report: ImportReport
) -> dict[UUID, Values]:
    """Per photo, the values that would change what is known; photos without any are left out."""
    ids = {
        key: label.id for key, label in projects.labels_by_key(session, reading.project_id).items()
    }
    news = {}
    for image_id, known in annotations.truth(session, said.keys()).items():
        values = {}
        for key, value in said[image_id].items():
            now_known = known.get(ids[key])
            if _may_change(now_known, value):
                values[key] = value
            elif now_known is not None and now_known.value != value:
                report.kept_decisions += 1
        if values:
            news[image_id] = values
    return news


def _may_change(known: KnownValue | None, value: LabelValue) -> bool:
    if known is None or known.source == Source.AUTO:
        return True
    return known.source == Source.IMPORT and known.value != value
