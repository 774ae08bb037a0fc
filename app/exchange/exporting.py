"""An export, from a project to one file; the same in a job and a terminal.

Photos are read out of one cursor and one snapshot of the database, so memory does not grow with
the project, and every row tells of the same moment.
"""

import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias
from uuid import UUID

from sqlalchemy.orm import Session

from app.annotations.models import LabelValue
from app.core.storage import ObjectStore
from app.exchange import repository
from app.exchange.detection import Format
from app.exchange.formats import coco, csv_long, csv_wide, label_studio, pack
from app.exchange.names import exported_name
from app.exchange.records import DeclaredLabel, LabelState, Origin, Record
from app.exchange.repository import PhotoRow, SuggestionRow, TruthRow
from app.exchange.schemas import ExportIn
from app.images.blobs import blob_key
from app.jobs.stages import JobStage
from app.projects import service as projects
from app.projects.models import Label, Project
from app.pseudolabels.models import PseudoLabelState

IMAGES_FOLDER = pack.IMAGES_FOLDER
TABLES = {
    Format.CSV_LONG: "labels.csv",
    Format.CSV_WIDE: "labels.csv",
    Format.COCO: "annotations/labels_default.json",
    Format.LABEL_STUDIO: "tasks.json",
    Format.PACK: pack.LABELS_FILE,
}
MEDIA_TYPES = {".zip": "application/zip", ".csv": "text/csv", ".json": "application/json"}
OnProgress: TypeAlias = Callable[[float, str], None]
Entry: TypeAlias = tuple[Record, PhotoRow]


@dataclass
class Written:
    """What an export wrote, counted as it goes."""

    images: int = 0
    missing_photos: int = 0


@dataclass(frozen=True)
class Source:
    """The project that is exported, read through a session of its own."""

    session: Session
    store: ObjectStore
    project: Project
    wanted: ExportIn
    on_progress: OnProgress


def suffix_of(wanted: ExportIn) -> str:
    """An export of several files is a zip."""
    if wanted.include_images or wanted.format is Format.PACK:
        return ".zip"
    return Path(TABLES[wanted.format]).suffix


def file_name_of(project: Project, wanted: ExportIn) -> str:
    split = f"-{wanted.split}" if wanted.split else ""
    return f"{project.slug}-{wanted.format.replace('_', '-')}{split}{suffix_of(wanted)}"


def export(source: Source, path: Path) -> Written:
    """Write the file. `path` and a draft beside it are the only places that are written to."""
    source.session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    labels = projects.list_labels(source.session, source.project.id)
    written = Written()
    entries = _counted(_entries(source, labels), written)
    declared = tuple(DeclaredLabel(label.key, phrase_of(label)) for label in labels)
    if suffix_of(source.wanted) == ".zip":
        _write_zip(source, entries, declared, path, written)
    else:
        records = (record for record, _ in entries)
        with path.open("w", encoding=_encoding(source.wanted.format), newline="") as out:
            _write_table(source.wanted, records, declared, out)
    return written


def phrase_of(label: Label) -> str:
    return label.prompts[0] if label.prompts else label.names.get("en", "")


def _counted(entries: Iterable[Entry], written: Written) -> Iterator[Entry]:
    for entry in entries:
        written.images += 1
        yield entry


def _entries(source: Source, labels: Sequence[Label]) -> Iterator[Entry]:
    session, project, wanted = source.session, source.project, source.wanted
    keys = {label.id: label.key for label in labels}
    total = repository.count_photos(session, project.id, wanted.split)
    done = 0
    for batch in repository.stream_photos(session, project.id, wanted.split):
        ids = [row.id for row in batch]
        truth = repository.truth_of(session, ids)
        states, seconds = _states(session, ids, truth, keys, wanted), _active_seconds(truth)
        for row in batch:
            source.on_progress(done / max(total, 1), JobStage.WRITE_FILE)
            record = record_of(row, states[row.id], seconds.get(row.id), active=keys.values())
            if record.is_complete or not wanted.only_complete:
                yield record, row
            done += 1


def record_of(
    row: PhotoRow, states: dict[str, LabelState], seconds: float | None, active: Iterable[str]
) -> Record:
    stated = {key for key, state in states.items() if state.is_stated}
    active = set(active)
    return Record(
        file_name=exported_name(row.file_name, row.sha256, is_shared=row.shares_name),
        states=states,
        is_complete=bool(active) and active <= stated,
        split=row.split,
        sha256=row.sha256,
        width=row.width,
        height=row.height,
        active_seconds=seconds,
    )


def _active_seconds(truth: Iterable[TruthRow]) -> dict[UUID, float]:
    """Per photo, the time of the annotations that people's word on it rests on, if all have one."""
    spent: dict[UUID, dict[UUID, float | None]] = defaultdict(dict)
    for row in truth:
        if row.source == Origin.HUMAN:
            seconds = None if row.active_ms is None else row.active_ms / 1000
            spent[row.image_id][row.annotation_id] = seconds
    return {
        image_id: sum(filter(None, times.values()))
        for image_id, times in spent.items()
        if None not in times.values()
    }


def _states(
    session: Session,
    image_ids: Sequence[UUID],
    truth: Iterable[TruthRow],
    keys: dict[UUID, str],
    wanted: ExportIn,
) -> dict[UUID, dict[str, LabelState]]:
    """Per photo, what is known by the key of each label, in the order of the labels."""
    by_label: dict[UUID, dict[UUID, LabelState]] = defaultdict(dict)
    accepted: dict[tuple[UUID, UUID], SuggestionRow] = {}
    for suggestion in _suggestions(session, image_ids, wanted):
        if suggestion.state == PseudoLabelState.PENDING:
            by_label[suggestion.image_id][suggestion.label_id] = _suggested(suggestion)
        else:
            accepted[suggestion.image_id, suggestion.label_id] = suggestion
    for row in truth:
        if row.source != Origin.AUTO:
            by_label[row.image_id][row.label_id] = _stated(row)
        elif wanted.include_pseudo_labels:
            suggestion_of = accepted.get((row.image_id, row.label_id))
            by_label[row.image_id][row.label_id] = _accepted(row, suggestion_of)
    return {
        image_id: {
            key: by_label[image_id][label_id]
            for label_id, key in keys.items()
            if label_id in by_label[image_id]
        }
        for image_id in image_ids
    }


def _suggestions(
    session: Session, image_ids: Sequence[UUID], wanted: ExportIn
) -> Sequence[SuggestionRow]:
    return repository.suggestions_of(session, image_ids) if wanted.include_pseudo_labels else []


def _stated(row: TruthRow) -> LabelState:
    return LabelState(
        value=LabelValue(row.value),
        origin=Origin(row.source),
        reviewer=row.reviewer,
        decided_at=row.decided_at,
    )


def _suggested(row: SuggestionRow) -> LabelState:
    return LabelState(
        value=LabelValue(row.value),
        origin=Origin.PSEUDO,
        score=row.confidence,
        model_version=str(row.model_version),
    )


def _accepted(row: TruthRow, suggestion: SuggestionRow | None) -> LabelState:
    """Accepted under a contract, with the score of the suggestion that it was."""
    return LabelState(
        value=LabelValue(row.value),
        origin=Origin.AUTO,
        score=suggestion.confidence if suggestion else None,
        model_version=str(suggestion.model_version) if suggestion else None,
        decided_at=row.decided_at,
    )


def _encoding(chosen: Format) -> str:
    """Spreadsheets need the mark that says UTF-8; a pack is for programs."""
    return "utf-8-sig" if chosen in {Format.CSV_LONG, Format.CSV_WIDE} else "utf-8"


def _write_table(
    wanted: ExportIn,
    records: Iterable[Record],
    labels: Sequence[DeclaredLabel],
    out: IO[str],
) -> None:
    match wanted.format:
        case Format.CSV_LONG:
            csv_long.write(records, out)
        case Format.CSV_WIDE:
            csv_wide.write(records, labels, out)
        case Format.COCO:
            coco.write(records, labels, out)
        case Format.LABEL_STUDIO:
            folder = IMAGES_FOLDER if wanted.include_images else ""
            label_studio.write(records, out, folder=folder)
        case Format.PACK:
            pack.write(records, out)


def _write_zip(
    source: Source,
    entries: Iterable[Entry],
    labels: Sequence[DeclaredLabel],
    path: Path,
    written: Written,
) -> None:
    """The photos one by one while the table grows beside them; the table comes last."""
    table, wanted = path.with_name(f"{path.name}.table"), source.wanted
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        if wanted.include_images:
            records = _packing(source, entries, archive, written)
        else:
            records = (record for record, _ in entries)
        with table.open("w", encoding=_encoding(wanted.format), newline="") as out:
            _write_table(wanted, records, labels, out)
        archive.write(table, TABLES[wanted.format])
        if wanted.format is Format.PACK:
            archive.writestr(pack.CLASSES_FILE, pack.text_of_classes(labels))
        if wanted.format is Format.LABEL_STUDIO:
            archive.writestr("label_config.xml", label_studio.label_config(labels))
    table.unlink()


def _packing(
    source: Source, entries: Iterable[Entry], archive: zipfile.ZipFile, written: Written
) -> Iterator[Record]:
    """Every record, once its photo is in the archive."""
    for record, row in entries:
        if source.store.size(blob_key(row.sha256)) is None:
            written.missing_photos += 1
        else:
            _add_photo(source.store, archive, record, row)
        yield record


def _add_photo(store: ObjectStore, archive: zipfile.ZipFile, record: Record, row: PhotoRow) -> None:
    """Stored, not deflated: photos are compressed already."""
    member = zipfile.ZipInfo(IMAGES_FOLDER + record.file_name)
    member.compress_type = zipfile.ZIP_STORED
    member.external_attr = 0o644 << 16
    member.file_size = row.byte_size
    with archive.open(member, "w") as out:
        for chunk in store.stream(blob_key(row.sha256)):
            out.write(chunk)


def media_type_of(wanted: ExportIn) -> str:
    return MEDIA_TYPES[suffix_of(wanted)]
