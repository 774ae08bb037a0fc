"""Which tables a bundle holds and in which format: by what they contain, not by their names."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from app.core.errors import Invalid
from app.exchange.bundles import Bundle, is_photo
from app.exchange.formats import coco, csv_long, csv_wide, label_studio, pack
from app.exchange.formats.json_stream import first_sign
from app.exchange.formats.tabular import read_header
from app.exchange.records import Table


class Format(StrEnum):
    CSV_LONG = "csv_long"
    CSV_WIDE = "csv_wide"
    COCO = "coco"
    LABEL_STUDIO = "label_studio"
    PACK = "pack"


class ImportFormat(StrEnum):
    """`photos`: pictures without any table. `auto`: what the content looks like."""

    AUTO = "auto"
    CSV_LONG = "csv_long"
    CSV_WIDE = "csv_wide"
    COCO = "coco"
    LABEL_STUDIO = "label_studio"
    PACK = "pack"
    PHOTOS = "photos"


JSON_FORMATS = frozenset({Format.COCO, Format.LABEL_STUDIO})
TABLE_SUFFIXES = {".csv": "CSV", ".tsv": "CSV", ".json": "JSON"}


@dataclass(frozen=True)
class TableFile:
    """A table in a bundle. `root` is the folder that its paths of photos start from."""

    name: str
    format: Format

    @property
    def root(self) -> str:
        folder = PurePosixPath(self.name).parent
        if self.format is Format.COCO and folder.name == "annotations":
            folder = folder.parent
        return "" if folder == PurePosixPath() else f"{folder}/"

    @property
    def subset(self) -> str | None:
        """Datumaro keeps the split of COCO labels in the name of the file."""
        stem = PurePosixPath(self.name).stem
        return stem.removeprefix("labels_") if stem.startswith("labels_") else None


def find_tables(bundle: Bundle, wanted: ImportFormat) -> list[TableFile]:
    """None for a bundle of photos alone. Raises `Invalid` when there is nothing to import."""
    if wanted is ImportFormat.PHOTOS:
        return []
    names = [name for name in bundle.names if _kind(name)]
    if wanted is not ImportFormat.AUTO:
        return _tables_of(names, Format(wanted))
    recognized = [TableFile(n, f) for n in names if (f := recognize(bundle, n)) is not None]
    packs = [table for table in recognized if table.format is Format.PACK]
    tables = packs or recognized
    if len({table.format for table in tables}) > 1:
        found = ", ".join(f"{table.name} ({table.format})" for table in tables[:3])
        raise Invalid(f"There are tables of several formats; say which one counts: {found}.")
    if not tables and names:
        raise Invalid(f"{names[0]} is a table of no format that Kizu knows.")
    if not tables and not any(is_photo(name) for name in bundle.names):
        raise Invalid("There is nothing to import: no photo and no table.")
    return tables


def _tables_of(names: list[str], wanted: Format) -> list[TableFile]:
    kind = "JSON" if wanted in JSON_FORMATS else "CSV"
    fitting = [name for name in names if _kind(name) == kind]
    if wanted is Format.PACK:
        fitting = [n for n in fitting if PurePosixPath(n).name == pack.LABELS_FILE] or fitting[:1]
    if not fitting:
        raise Invalid(f"There is no {kind} file in it, as {wanted} needs.")
    return [TableFile(name, wanted) for name in fitting]


def _kind(name: str) -> str | None:
    path = PurePosixPath(name)
    return None if path.name == pack.CLASSES_FILE else TABLE_SUFFIXES.get(path.suffix.lower())


def recognize(bundle: Bundle, name: str) -> Format | None:
    """The format of one table; None for a file that is none of ours."""
    if _kind(name) == "JSON":
        sign = first_sign(bundle.opener(name))
        return {"[": Format.LABEL_STUDIO, "{": Format.COCO}.get(sign)
    try:
        header = set(read_header(bundle.opener(name)))
    except Invalid:
        return None
    if {"file", "labels"} <= header:
        return Format.PACK
    if header >= set(csv_long.NEEDED):
        return Format.CSV_LONG
    return Format.CSV_WIDE if csv_wide.NAME_COLUMN in header else None


def read_table(bundle: Bundle, table: TableFile, *, unlisted_absent: bool = False) -> Table:
    """Raises `Invalid` when the file as a whole cannot be read."""
    opener = bundle.opener(table.name)
    if table.format is Format.CSV_LONG:
        return csv_long.read(opener, unlisted_absent=unlisted_absent)
    if table.format is Format.PACK:
        classes = f"{table.root}{pack.CLASSES_FILE}"
        has_classes = classes in bundle.names
        return pack.read(opener, bundle.opener(classes) if has_classes else None)
    readers = {
        Format.CSV_WIDE: csv_wide.read,
        Format.COCO: coco.read,
        Format.LABEL_STUDIO: label_studio.read,
    }
    return readers[table.format](opener)
