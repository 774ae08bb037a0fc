"""What a data set says about photos, whatever file it is written in: one record per photo.

Readers turn files into records, writers turn records into files; neither knows a database.
A label that a record does not name is unknown. Models' opinions travel beside what people stated
and stay marked: `Origin.AUTO` was accepted under a contract, `Origin.PSEUDO` by nobody yet.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import IO, Any, TypeAlias, TypeVar

from app.annotations.models import LabelValue
from app.core.errors import Invalid


class Origin(StrEnum):
    """Who says so: people, a file that came from elsewhere, or a model."""

    HUMAN = "human"
    IMPORT = "import"
    AUTO = "auto"
    PSEUDO = "pseudo"


STATED = frozenset({Origin.HUMAN, Origin.IMPORT})


@dataclass(frozen=True)
class LabelState:
    """What is known about one label of one photo, and where that comes from."""

    value: LabelValue
    origin: Origin = Origin.HUMAN
    score: float | None = None
    model_version: str | None = None
    reviewer: str | None = None
    decided_at: datetime | None = None

    @property
    def is_stated(self) -> bool:
        return self.origin in STATED


@dataclass(frozen=True)
class Record:
    """One photo. `is_complete`: of the labels that the file declares, those unnamed are absent.
    `active_seconds`: what people needed for it, where all of that was timed.
    """

    file_name: str
    states: Mapping[str, LabelState] = field(default_factory=dict)
    is_complete: bool = False
    split: str | None = None
    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    active_seconds: float | None = None

    def of_value(self, value: LabelValue, *, stated: bool = True) -> list[str]:
        """The labels of which people (or, `stated=False`, models) say this value."""
        return [
            label
            for label, state in self.states.items()
            if state.value == value and state.is_stated is stated
        ]


@dataclass(frozen=True)
class DeclaredLabel:
    """A label as a file or a project names it, with an English phrase that describes it."""

    key: str
    phrase: str = ""


Parsed = TypeVar("Parsed")
Opener: TypeAlias = Callable[[], IO[bytes]]
Rows: TypeAlias = Iterator[Record | Invalid]


@dataclass(frozen=True)
class Table:
    """What a reader found: records, a sentence in the place of each that is unreadable, and the
    labels that the file declares (None when the format has no place for them)."""

    labels: tuple[DeclaredLabel, ...] | None
    rows: Rows


def to_plain(state: LabelState) -> dict[str, Any]:
    """A state as JSON members; those that say nothing are left out."""
    members = {
        "value": state.value.value,
        "source": state.origin.value,
        "score": state.score,
        "model_version": state.model_version,
        "reviewer": state.reviewer,
        "decided_at": state.decided_at.isoformat() if state.decided_at else None,
    }
    return {name: value for name, value in members.items() if value is not None}


def from_plain(members: Mapping[str, Any]) -> LabelState:
    """The inverse of `to_plain`, for JSON and CSV alike. Raises `Invalid` in plain words."""
    if not isinstance(members, Mapping):
        raise Invalid("a label state is an object with a value.")
    version = members.get("model_version")
    return LabelState(
        value=_value(members),
        origin=_member(members, "source", Origin, "human, import, auto or pseudo") or Origin.HUMAN,
        score=_member(members, "score", float, "a number"),
        model_version=None if version in {None, ""} else str(version),
        reviewer=members.get("reviewer") or None,
        decided_at=_member(members, "decided_at", datetime.fromisoformat, "an ISO 8601 time"),
    )


def _value(members: Mapping[str, Any]) -> LabelValue:
    value = _member(members, "value", LabelValue, "present, absent or unsure")
    if value is None:
        raise Invalid("a label state lacks its value.")
    return value


def _member(
    members: Mapping[str, Any], name: str, parse: Callable[[Any], Parsed], wanted: str
) -> Parsed | None:
    value = members.get(name)
    if value is None or value == "":
        return None
    try:
        return parse(value)
    except (ValueError, TypeError) as error:
        raise Invalid(f"the {name} {value!r} is not {wanted}.") from error
