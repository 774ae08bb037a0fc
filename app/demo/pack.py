"""The pack layout read from a zip or a folder: `images/`, `labels.csv`, `classes.tsv`.

A pack's labels are the demo's hidden truth: simulated people look here, the service never does.
"""

import csv
import io
import math
import random
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from app.core.errors import Invalid

TEST, TEST_SHARE = "test", 0.2


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

    def batches(self, *, most_photos: int, most_bytes: int) -> Iterator[list[tuple[Photo, bytes]]]:
        """All photos in portions, each for one request; a photo that is larger goes alone."""
        batch: list[tuple[Photo, bytes]] = []
        size = 0
        for photo, content in self.read(list(self.photos)):
            if batch and (len(batch) == most_photos or size + len(content) > most_bytes):
                yield batch
                batch, size = [], 0
            batch.append((photo, content))
            size += len(content)
        yield batch

    def with_test_photos(self, seed: int) -> "Pack":
        """The pack itself, or with a fifth of its photos drawn for the test where it has none.

        Raises `Invalid` when nothing could be learned or measured.
        """
        drawn = self if self.of_split(TEST) else self._with_drawn_test(seed)
        for is_test, purpose in ((True, "test"), (False, "train")):
            if not any(p.labels for p in drawn.photos if (p.split == TEST) is is_test):
                raise Invalid(f"{self.path} has no photo with a label to {purpose} with.")
        return drawn

    def _with_drawn_test(self, seed: int) -> "Pack":
        """As many with labels as without, so that a small pack has some of both."""
        chance, test = random.Random(seed), set[str]()
        for has_labels in (True, False):
            files = [p.file for p in self.photos if bool(p.labels) is has_labels]
            test.update(chance.sample(files, math.ceil(len(files) * TEST_SHARE)))
        photos = (replace(p, split=TEST) if p.file in test else p for p in self.photos)
        return replace(self, photos=tuple(photos))


def open_pack(path: Path) -> Pack:
    """Raises `Invalid` with one plain sentence when `path` is no pack."""
    try:
        labels, classes = _tables(path)
        phrases = {row["label"]: row["phrase"] for row in classes}
        photos = tuple(_photo(row, phrases) for row in labels)
        files = _files(path)
    except (OSError, KeyError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise Invalid(f"{path} is no pack (images/, labels.csv, classes.tsv): {error}") from error
    if not photos:
        raise Invalid(f"{path} has no photos.")
    missing = [photo.file for photo in photos if photo.file not in files]
    if missing:
        others = f" and {len(missing) - 1} more" if missing[1:] else ""
        raise Invalid(f"labels.csv names {missing[0]}{others}, which {path} lacks.")
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


def _files(path: Path) -> set[str]:
    """Everything in the pack, by its place below the pack's own folder."""
    if path.is_dir():
        return {file.relative_to(path).as_posix() for file in path.rglob("*")}
    with zipfile.ZipFile(path) as archive:
        root = _root(archive)
        return {name.removeprefix(root) for name in archive.namelist()}


def _root(archive: zipfile.ZipFile) -> str:
    """Packs zipped with their folder have everything one level down."""
    for name in archive.namelist():
        if name.endswith("labels.csv"):
            return name.removesuffix("labels.csv")
    raise KeyError("labels.csv")
