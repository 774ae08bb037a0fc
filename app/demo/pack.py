"""The pack layout read from a zip or a folder: `images/`, `labels.csv`, `classes.tsv`.

A pack's labels are the demo's hidden truth: simulated people look here, the service never does.
"""

import csv
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.core.errors import Invalid


@dataclass(frozen=True)
class Photo:
    file: str
    split: str
    labels: frozenset[str]


@dataclass(frozen=True)
class Pack:
    """`classes` maps each label to the English phrase that describes it."""

    name: str
    path: Path
    classes: dict[str, str]
    photos: tuple[Photo, ...]

    def of_split(self, split: str) -> list[Photo]:
        return [photo for photo in self.photos if photo.split == split]

    def read(self, photos: list[Photo]) -> Iterator[tuple[Photo, bytes]]:
        if self.path.is_dir():
            for photo in photos:
                yield photo, (self.path / photo.file).read_bytes()
            return
        with zipfile.ZipFile(self.path) as archive:
            root = _root(archive)
            for photo in photos:
                yield photo, archive.read(root + photo.file)


def open_pack(path: Path) -> Pack:
    """Raises `Invalid` with one plain sentence when `path` is no pack."""
    try:
        labels, classes = _tables(path)
        phrases = {row["label"]: row["phrase"] for row in classes}
        photos = tuple(_photo(row, phrases) for row in labels)
    except (OSError, KeyError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise Invalid(f"{path} is no pack (images/, labels.csv, classes.tsv): {error}") from error
    if not photos:
        raise Invalid(f"{path} has no photos.")
    return Pack(path.stem, path, phrases, photos)


def _photo(row: dict[str, str], phrases: dict[str, str]) -> Photo:
    labels = frozenset(filter(None, row["labels"].split("|")))
    if not labels <= phrases.keys():
        raise Invalid(f"{row['file']} has labels that classes.tsv lacks: {labels - phrases.keys()}")
    return Photo(row["file"], row["split"], labels)


def _tables(path: Path) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    if path.is_dir():
        texts = [(path / name).read_text("utf-8") for name in ("labels.csv", "classes.tsv")]
    else:
        with zipfile.ZipFile(path) as archive:
            root = _root(archive)
            texts = [archive.read(root + n).decode() for n in ("labels.csv", "classes.tsv")]
    labels = csv.DictReader(io.StringIO(texts[0]))
    return list(labels), list(csv.DictReader(io.StringIO(texts[1]), delimiter="\t"))


def _root(archive: zipfile.ZipFile) -> str:
    """Packs zipped with their folder have everything one level down."""
    for name in archive.namelist():
        if name.endswith("labels.csv"):
            return name.removesuffix("labels.csv")
    raise KeyError("labels.csv")
