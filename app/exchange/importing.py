"""An import, from an opened bundle to photos and statements; the same in a job and a terminal.

It goes through the tables twice: once to see that they can be read and what they declare, then in
batches. Each photo commits by itself, the statements of a batch together, and a statement that
adds nothing to what is known is not made again: an import that was killed, or is repeated, leaves
nothing twice. A file in the work folder remembers how far it came, only to spare time.
"""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeAlias
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy.orm import Session

from app.core.errors import Invalid, KizuError, OutOfSpace, Unavailable
from app.core.multipart import ReceivedFile, plain_name
from app.core.storage import ObjectStore
from app.exchange.bundles import DAMAGED, Bundle, is_photo
from app.exchange.detection import TableFile, find_tables, read_table
from app.exchange.labels import create_missing
from app.exchange.names import FileIndex
from app.exchange.records import DeclaredLabel, Record, Table
from app.exchange.schemas import ImportOptions, ImportReport
from app.exchange.stating import Reading, state
from app.images import service as images
from app.images.models import Split
from app.images.service import Capture, ReceiptStatus
from app.jobs.stages import JobStage
from app.projects import service as projects

BATCH = 500
CHUNK = 1 << 20
SPLITS = {
    **dict.fromkeys(("train", "training"), Split.TRAIN),
    **dict.fromkeys(("evaluation", "eval", "val", "valid", "validation"), Split.EVALUATION),
    "test": Split.TEST,
}
NO_SPLIT = frozenset({"", "default", "all"})
Transact: TypeAlias = Callable[[], AbstractContextManager[Session]]
OnProgress: TypeAlias = Callable[[float, str], None]


@dataclass(frozen=True)
class Site:
    """Where an import happens. `on_progress(share, stage)` may raise to stop it."""

    project_id: UUID
    author_id: UUID | None
    transact: Transact
    store: ObjectStore
    max_pixels: int
    workdir: Path
    on_progress: OnProgress


class Progress(BaseModel):
    """How far an import came: rows and then leftover photos that are done, and its report."""

    done: int = 0
    report: ImportReport = ImportReport()


@dataclass
class Survey:
    """What the first pass found."""

    tables: list[TableFile]
    declared: dict[str, tuple[DeclaredLabel, ...] | None] = field(default_factory=dict)
    rows: int = 0


def run_import(bundle: Bundle, options: ImportOptions, site: Site) -> ImportReport:
    """Raises `Invalid` when the bundle cannot be read as a whole; nothing was imported then."""
    try:
        return _Import(bundle, options, site).run()
    except DAMAGED as error:
        raise Invalid(f"A file of the bundle is damaged: {error}") from error


class _Import:
    def __init__(self, bundle: Bundle, options: ImportOptions, site: Site) -> None:
        self._bundle = bundle
        self._options = options
        self._site = site
        self._marker = site.workdir / "progress.json"
        self._progress = self._remembered()
        self._uploaded: dict[str, UUID | None] = {}
        self._named: set[str] = set()
        self._total = 0

    @property
    def _report(self) -> ImportReport:
        return self._progress.report

    def run(self) -> ImportReport:
        survey = self._survey()
        tables = {table.name for table in survey.tables}
        photos = [name for name in self._bundle.names if is_photo(name) and name not in tables]
        index = FileIndex(name for name in self._bundle.names if name not in tables)
        self._total = max(survey.rows, len(photos), 1)
        done = 0
        for table in survey.tables:
            declared = survey.declared[table.name]
            done = self._take_table(table, declared, index, done)
        self._take_leftovers([name for name in photos if name not in self._named], done)
        return self._report

    def _survey(self) -> Survey:
        survey = Survey(find_tables(self._bundle, self._options.format))
        for table in survey.tables:
            self._site.on_progress(0.0, JobStage.READ_FILE)
            found = self._read(table)
            survey.declared[table.name] = found.labels
            for number, _ in enumerate(found.rows):
                if number % BATCH == 0:
                    self._site.on_progress(0.0, JobStage.READ_FILE)
                survey.rows += 1
        return survey

    def _read(self, table: TableFile) -> Table:
        unlisted_absent = self._options.unlisted_absent is True
        return read_table(self._bundle, table, unlisted_absent=unlisted_absent)

    def _take_table(
        self,
        table: TableFile,
        declared: tuple[DeclaredLabel, ...] | None,
        index: FileIndex,
        done: int,
    ) -> int:
        """Import the rows of one table; returns how many rows are done with it."""
        self._create_labels(declared or ())
        rows = self._read(table).rows
        while batch := list(islice(rows, BATCH)):
            files = [
                index.find(row.file_name, root=table.root) if isinstance(row, Record) else None
                for row in batch
            ]
            self._named.update(file for file in files if file)
            done += len(batch)
            if done <= self._progress.done:
                continue
            self._take_batch(batch, files, table, declared)
            self._remember(done)
        return done

    def _take_batch(
        self,
        batch: Sequence[Record | Invalid],
        files: Sequence[str | None],
        table: TableFile,
        declared: tuple[DeclaredLabel, ...] | None,
    ) -> None:
        known: list[tuple[Record, UUID]] = []
        elsewhere: list[Record] = []
        for row, file in zip(batch, files, strict=True):
            if isinstance(row, Invalid):
                self._report.blame_row(row.detail)
                continue
            if file is None:
                elsewhere.append(row)
                continue
            image_id = self._upload_named(row, file, table)
            if image_id is not None:
                known.append((row, image_id))
        if declared is None:
            stated = [*(row for row, _ in known), *elsewhere]
            self._create_labels(list(map(DeclaredLabel, _stated_words(stated))))
        reading = Reading(
            project_id=self._site.project_id,
            author_id=self._site.author_id,
            declared=None if declared is None else [label.key for label in declared],
            unlisted_absent=self._options.unlisted_absent,
        )
        with self._site.transact() as session:
            state(session, known, elsewhere, reading=reading, report=self._report)

    def _create_labels(self, words: Sequence[DeclaredLabel]) -> None:
        if not self._options.create_labels or not words:
            return
        with self._site.transact() as session:
            project = projects.get_project_by_id(session, self._site.project_id)
            created = create_missing(session, project, words, actor_id=self._site.author_id)
        self._report.created_labels.extend(created)

    def _take_leftovers(self, names: Sequence[str], done: int) -> None:
        """Photos that no row named: they are wanted, and nothing is said about them."""
        for name in names:
            done += 1
            if done > self._progress.done:
                self._upload(name, self._options.default_split)
                if done % BATCH == 0:
                    self._remember(done)

    def _upload_named(self, record: Record, name: str, table: TableFile) -> UUID | None:
        """A photo of which the table may say the split. A split that is a slip of the pen must
        not put a photo of the vault into the training, so its row is left out."""
        split = (record.split or table.subset or "").strip().lower()
        if split in NO_SPLIT:
            return self._upload(name, self._options.default_split)
        if split in SPLITS:
            return self._upload(name, SPLITS[split])
        self._report.blame_row(f"{record.file_name}: there is no split {split!r}.")
        return None

    def _upload(self, name: str, split: Split | None) -> UUID | None:
        """The image of a file of the bundle; None when it was rejected."""
        if name in self._uploaded:
            return self._uploaded[name]
        self._tell(len(self._uploaded))
        try:
            self._uploaded[name] = self._receive(name, split)
        except (OutOfSpace, Unavailable):
            raise
        except KizuError as error:
            self._uploaded[name] = None
            self._report.reject(name, error.detail)
        return self._uploaded[name]

    def _receive(self, name: str, split: Split | None) -> UUID:
        file = self._unpacked(name)
        try:
            with self._site.transact() as session:
                receipt = images.receive_upload(
                    session,
                    self._site.store,
                    project=projects.get_project_by_id(session, self._site.project_id),
                    file=file,
                    capture=Capture(split=split),
                    max_pixels=self._site.max_pixels,
                )
                image_id, status = receipt.image.id, receipt.status
        finally:
            file.path.unlink(missing_ok=True)
        if status is ReceiptStatus.CREATED:
            self._report.created += 1
        else:
            self._report.already_there += 1
        return image_id

    def _unpacked(self, name: str) -> ReceivedFile:
        """The file on this machine's disk, under a name of ours. Raises `Invalid` if damaged."""
        path = self._site.workdir / "photo"
        digest = hashlib.sha256()
        try:
            with self._bundle.open(name) as source, path.open("wb") as copy:
                while chunk := source.read(CHUNK):
                    digest.update(chunk)
                    copy.write(chunk)
        except DAMAGED as error:
            raise Invalid("The file is damaged: it cannot be unpacked.") from error
        return ReceivedFile(path, plain_name(name), digest.hexdigest(), path.stat().st_size)

    def _remember(self, done: int) -> None:
        self._progress.done = done
        draft = self._marker.with_suffix(".part")
        draft.write_text(self._progress.model_dump_json(), encoding="utf-8")
        draft.replace(self._marker)
        self._tell(done)

    def _remembered(self) -> Progress:
        try:
            return Progress.model_validate_json(self._marker.read_bytes())
        except (OSError, ValueError):
            return Progress()

    def _tell(self, done: int) -> None:
        self._site.on_progress(min(done / self._total, 1.0), JobStage.IMPORT)


def _stated_words(records: Sequence[Record]) -> list[str]:
    return [word for record in records for word, said in record.states.items() if said.is_stated]
