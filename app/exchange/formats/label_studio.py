"""Label Studio's JSON: tasks with annotations and predictions of `choices`.

An annotation is a full answer: labels it does not choose are absent, and no choice at all means
"no defect". A task without one was not reviewed. What choices cannot say (unsure, a photo that is
only partly decided, who and when) travels in the task's `meta.kizu`; it holds only as long as the
annotation still chooses what Kizu wrote, so that an edit made in Label Studio always wins.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import IO, Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import quoteattr

from app.annotations.models import LabelValue
from app.core.errors import Invalid
from app.exchange.formats.json_stream import read_elements
from app.exchange.records import (
    DeclaredLabel,
    LabelState,
    Opener,
    Origin,
    Record,
    Rows,
    Table,
    from_plain,
    to_plain,
)

CONTROL, OBJECT, TYPE = "defect", "image", "choices"
META = "kizu"
# Label Studio puts eight hexadecimal digits before the name of a file that was uploaded to it.
_UPLOADED = re.compile(r"/data/upload/.*?/[0-9a-f]{8}-(?P<name>[^/]+)$")


def write(records: Iterable[Record], out: IO[str], *, folder: str = "") -> None:
    """`folder` is put before file names in `data.image`, where the photos are found."""
    out.write("[")
    for number, record in enumerate(records, 1):
        out.write("\n" if number == 1 else ",\n")
        out.write(json.dumps(_task(number, record, folder), ensure_ascii=False))
    out.write("]\n")


def label_config(labels: Sequence[DeclaredLabel]) -> str:
    """The labelling interface that these tasks need in Label Studio."""
    choices = "\n".join(f"    <Choice value={quoteattr(label.key)}/>" for label in labels)
    return (
        f'<View>\n  <Image name="{OBJECT}" value="${OBJECT}"/>\n'
        f'  <Choices name="{CONTROL}" toName="{OBJECT}" choice="multiple">\n{choices}\n'
        "  </Choices>\n</View>\n"
    )


def _task(number: int, record: Record, folder: str) -> dict[str, Any]:
    chosen = _choices_of(record)
    ours = {
        "file_name": record.file_name,
        "split": record.split,
        "sha256": record.sha256,
        "complete": record.is_complete,
        "choices": chosen,
        "states": {label: to_plain(state) for label, state in record.states.items()},
    }
    return {
        "id": number,
        "data": {OBJECT: folder + record.file_name},
        "meta": {META: {name: value for name, value in ours.items() if value is not None}},
        "annotations": [] if chosen is None else [_annotation(record, chosen)],
        "predictions": list(_predictions(record)),
    }


def _annotation(record: Record, chosen: list[str]) -> dict[str, Any]:
    """Made when the first of its labels was decided, and edited when the last one was."""
    stated = [state.decided_at for state in record.states.values() if state.is_stated]
    moments = sorted(_utc(moment) for moment in stated if moment)
    result = [_result("a1", chosen)]
    members = {
        "result": result,
        "result_count": len(result),
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": moments[0] if moments else None,
        "updated_at": moments[-1] if moments else None,
        "lead_time": record.active_seconds,
    }
    return {name: value for name, value in members.items() if value is not None}


def _utc(moment: datetime) -> str:
    """As Label Studio writes it; always with microseconds, so that texts sort as times do."""
    naive = moment.astimezone(UTC).replace(tzinfo=None)
    return f"{naive.isoformat(timespec='microseconds')}Z"


def _choices_of(record: Record) -> list[str] | None:
    """What people chose; None when that says nothing, so that no annotation claims "no defect"."""
    chosen = record.of_value(LabelValue.PRESENT)
    return chosen if chosen or record.is_complete else None


def _result(result_id: str, choices: list[str]) -> dict[str, Any]:
    return {
        "id": result_id,
        "from_name": CONTROL,
        "to_name": OBJECT,
        "type": TYPE,
        "value": {"choices": choices},
    }


def _predictions(record: Record) -> Iterator[dict[str, Any]]:
    """A prediction for each model version, with a result for each label, which has its score."""
    by_version: dict[str, list[tuple[str, LabelState]]] = {}
    for label in record.of_value(LabelValue.PRESENT, stated=False):
        state = record.states[label]
        by_version.setdefault(state.model_version or "", []).append((label, state))
    for version, entries in by_version.items():
        results = [
            {**_result(f"p{number}", [label]), "score": state.score}
            for number, (label, state) in enumerate(entries, 1)
        ]
        scores = [state.score for _, state in entries if state.score is not None]
        score = min(scores) if scores else None
        yield {"model_version": version, "score": score, "result": results}


def read(opener: Opener) -> Table:
    """Label Studio's export does not list the labels of its interface. Raises `Invalid`."""
    return Table(labels=None, rows=_records(opener))


def _records(opener: Opener) -> Rows:
    for name, number, task in read_elements(opener):
        if name:
            raise Invalid("Label Studio's JSON is a list of tasks; this file is an object.")
        yield _record(f"Task {number + 1}", task)


def _record(place: str, task: Any) -> Record | Invalid:
    try:
        ours = (task.get("meta") or {}).get(META) or {}
        file_name = ours.get("file_name") or file_name_of(_reference(task["data"]))
        stated = _stated(task.get("annotations") or [])
        if ours and stated == ours.get("choices"):
            states = {label: from_plain(s) for label, s in ours.get("states", {}).items()}
            is_complete = bool(ours.get("complete"))
        else:
            states = _predicted(task.get("predictions") or [])
            states |= {label: LabelState(LabelValue.PRESENT) for label in stated or []}
            is_complete = stated is not None
        return Record(file_name, states, is_complete, ours.get("split"), ours.get("sha256"))
    except Invalid as error:
        return Invalid(f"{place}: {error.detail}")
    except (KeyError, TypeError, AttributeError, ValueError):
        return Invalid(f"{place} is no Label Studio task with an image and choices.")


def _reference(data: dict[str, Any]) -> str:
    texts = (value for value in data.values() if isinstance(value, str))
    found = data.get(OBJECT) or next(texts, None)
    if not isinstance(found, str):
        raise TypeError("image")
    return found


def file_name_of(reference: str) -> str:
    """The name of the photo that a task shows, from a path, a URL or a local-files address."""
    uploaded = _UPLOADED.search(reference)
    if uploaded:
        return unquote(uploaded["name"])
    if "://" not in reference and "?" not in reference:
        return reference.lstrip("/")
    address = urlsplit(reference)
    local = parse_qs(address.query).get("d")
    name = PurePosixPath(local[0] if local else unquote(address.path)).name
    if not name:
        raise Invalid(f"{reference} names no file.")
    return name


def _stated(annotations: list[dict[str, Any]]) -> list[str] | None:
    """What the newest annotation that counts chose; None when there is none."""
    counting = [a for a in annotations if not a.get("was_cancelled")]
    if not counting:
        return None
    newest = max(counting, key=lambda a: str(a.get("updated_at") or a.get("created_at") or ""))
    return [choice for item in newest["result"] for choice in _chosen(item)]


def _predicted(predictions: list[dict[str, Any]]) -> dict[str, LabelState]:
    states: dict[str, LabelState] = {}
    for prediction in predictions:
        version = prediction.get("model_version") or None
        for item in prediction.get("result") or []:
            score = item.get("score", prediction.get("score"))
            state = LabelState(
                LabelValue.PRESENT,
                Origin.PSEUDO,
                score=None if score is None else float(score),
                model_version=None if version is None else str(version),
            )
            states |= dict.fromkeys(_chosen(item), state)
    return states


def _chosen(item: dict[str, Any]) -> list[str]:
    if item.get("type", TYPE) != TYPE:
        return []
    choices = item["value"].get("choices", [])
    return [choices] if isinstance(choices, str) else [str(choice) for choice in choices]
