"""COCO without boxes, as Datumaro's `coco_labels`: an annotation for each label that is there.

COCO cannot say "absent", "unsure" or "nobody looked", so Kizu adds to each image `reviewed` (true:
labels without an annotation are absent), `split`, `sha256`, and `attributes.states` for whatever
is neither present nor implied. Annotations carry their origin in `attributes`. Other programs
leave these members alone. When a file is read, annotations are joined to images in memory.
"""

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from app.annotations.models import LabelValue
from app.core.errors import Invalid
from app.exchange.formats.json_stream import read_elements
from app.exchange.records import (
    DeclaredLabel,
    LabelState,
    Opener,
    Record,
    Rows,
    Table,
    from_plain,
    to_plain,
)


def write(records: Iterable[Record], labels: Sequence[DeclaredLabel], out: IO[str]) -> None:
    """Annotations wait in a temporary file, because COCO lists them after the images."""
    categories = [
        {"id": number, "name": label.key, "supercategory": "", "phrase": label.phrase}
        for number, label in enumerate(labels, 1)
    ]
    ids = {label.key: number for number, label in enumerate(labels, 1)}
    out.write('{"info": {"description": "Kizu"}, "licenses": [],\n"categories": ')
    out.write(json.dumps(categories, ensure_ascii=False))
    out.write(',\n"images": [')
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as waiting:
        count = 0
        for image_id, record in enumerate(records, 1):
            _write_element(out, _image(image_id, record), is_first=image_id == 1)
            for annotation in _annotations(image_id, record, ids):
                count += 1
                _write_element(waiting, {"id": count, **annotation}, is_first=count == 1)
        out.write('],\n"annotations": [')
        waiting.seek(0)
        shutil.copyfileobj(waiting, out)
    out.write("]}\n")


def _write_element(out: IO[str], element: dict[str, Any], *, is_first: bool) -> None:
    out.write("\n" if is_first else ",\n")
    out.write(json.dumps(element, ensure_ascii=False))


def _image(image_id: int, record: Record) -> dict[str, Any]:
    states = {
        label: to_plain(state)
        for label, state in record.states.items()
        if state.value != LabelValue.PRESENT
    }
    image: dict[str, Any] = {"id": image_id, "file_name": record.file_name}
    for name in ("width", "height", "split", "sha256"):
        if getattr(record, name) is not None:
            image[name] = getattr(record, name)
    return {**image, "reviewed": record.is_complete, "attributes": {"states": states}}


def _annotations(image_id: int, record: Record, ids: dict[str, int]) -> Iterator[dict[str, Any]]:
    for label, state in record.states.items():
        if state.value == LabelValue.PRESENT and label in ids:
            attributes = to_plain(state)
            annotation = {"image_id": image_id, "category_id": ids[label]}
            if state.score is not None:
                annotation["score"] = attributes.pop("score")
            yield {**annotation, "attributes": attributes}


@dataclass
class _Index:
    """What must be known before the first record: categories, and annotations by image."""

    categories: dict[Any, DeclaredLabel] = field(default_factory=dict)
    present: dict[Any, dict[Any, LabelState]] = field(default_factory=dict)
    problems: list[Invalid] = field(default_factory=list)


def read(opener: Opener) -> Table:
    """Raises `Invalid` when the file is no COCO JSON."""
    index = _Index()
    for name, number, element in read_elements(opener):
        if name in {"categories", "annotations"}:
            _add(index, name, number, element)
    if not index.categories:
        raise Invalid("The file has no categories, so it is no COCO data set.")
    return Table(labels=tuple(index.categories.values()), rows=_records(opener, index))


def _add(index: _Index, name: str, number: int, element: Any) -> None:
    try:
        if name == "categories":
            label = DeclaredLabel(str(element["name"]), str(element.get("phrase") or ""))
            index.categories[element["id"]] = label
            return
        attributes = element.get("attributes") or {}
        given = {**attributes, "value": LabelValue.PRESENT}
        given["score"] = element.get("score", attributes.get("score"))
        state = from_plain(given)
        index.present.setdefault(element["image_id"], {})[element["category_id"]] = state
    except Invalid as error:
        index.problems.append(Invalid(f"{name}[{number}]: {error.detail}"))
    except (KeyError, TypeError, AttributeError):
        index.problems.append(Invalid(f"{name}[{number}] lacks what COCO needs."))


def _records(opener: Opener, index: _Index) -> Rows:
    yield from index.problems
    for name, number, element in read_elements(opener):
        if name == "images":
            yield _record(number, element, index)


def _record(number: int, image: Any, index: _Index) -> Record | Invalid:
    place = f"images[{number}]"
    try:
        states = _states(image)
        for category, state in index.present.get(image["id"], {}).items():
            if category not in index.categories:
                return Invalid(f"{place} is annotated with category {category}, which is unknown.")
            states[index.categories[category].key] = state
        return Record(
            file_name=_file_name(image),
            states=states,
            is_complete=bool(image.get("reviewed")),
            split=image.get("split"),
            sha256=image.get("sha256"),
            width=image.get("width"),
            height=image.get("height"),
        )
    except Invalid as error:
        return Invalid(f"{place}: {error.detail}")
    except (KeyError, TypeError, AttributeError):
        return Invalid(f"{place} has no id or no file_name.")


def _file_name(image: dict[str, Any]) -> str:
    if not isinstance(image["file_name"], str) or not image["file_name"]:
        raise TypeError("file_name")
    return image["file_name"]


def _states(image: dict[str, Any]) -> dict[str, LabelState]:
    states = (image.get("attributes") or {}).get("states") or {}
    return {label: from_plain(members) for label, members in states.items()}
