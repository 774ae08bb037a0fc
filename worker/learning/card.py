"""The model card: everything about a trained model that is not a weight, as plain JSON.

It is written beside the weights, shown to people, and read back to predict.
"""

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from worker.learning.adapters import Adapters
from worker.learning.aligner import LabelSpec, Voice
from worker.learning.augment import Orientations
from worker.learning.calibration import Calibration
from worker.learning.contexts import ContextGroups, Criterion, Link
from worker.learning.metrics import Evaluation
from worker.learning.plan import Mode, Precision
from worker.learning.thresholds import Thresholds
from worker.learning.tiling import WHOLE, Grid, Tiles

FORMAT = 1


class UnknownFormat(ValueError):
    """A card that this version cannot read."""


@dataclass(frozen=True)
class Growth:
    """Labels that joined a trained model: which, what the model was called, how they were learned.

    `metrics` are the figures of these labels together; a `config` of nothing says that they are
    scored by their texts alone.
    """

    labels: tuple[str, ...]
    origin: str
    metrics: dict[str, Any]
    config: dict[str, Any]


@dataclass(frozen=True)
class ModelCard:
    """What a model is, what it learned from, how well it does and how to use its scores."""

    labels: tuple[LabelSpec, ...]
    backbone: str
    backbone_version: str
    mode: Mode
    resolution: int
    views: int
    orientations: Orientations
    precision: Precision
    contexts: ContextGroups
    calibration: Calibration
    thresholds: Thresholds
    metrics: dict[str, Any]
    promises: dict[str, list[dict[str, Any]]]
    counts: dict[str, Any]
    config: dict[str, Any]
    code_version: str
    group_weight: float = 0.0  # of the other labels of a group beside a label's own score
    grown: tuple[Growth, ...] = ()
    adapters: Adapters | None = None  # what was trained of the backbone in tune mode; None: all
    tiles: Tiles = WHOLE
    voices: dict[Voice, float] = field(default_factory=lambda: {Voice.PLACES: 1.0})  # weights
    voice_shares: dict[str, float] = field(default_factory=dict)  # of a score, for people to read

    @property
    def grid(self) -> Grid:
        return Grid(*self.tiles, self.resolution)

    @property
    def brings_backbone(self) -> bool:
        """Whether the model's file holds a whole backbone; else it needs the one it names."""
        return self.mode is Mode.TUNE and self.adapters is None

    def to_json(self) -> dict[str, Any]:
        """A document of JSON types only; what could not be computed is null."""
        document: dict[str, Any] = plain({"format": FORMAT, **dataclasses.asdict(self)})
        return document

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        if document.get("format") != FORMAT:
            raise UnknownFormat(f"model card format {document.get('format')!r} is not known")
        fields = {key: value for key, value in document.items() if key != "format"}
        fields["labels"] = tuple(
            LabelSpec(label["key"], tuple(label["prompts"]), label["miss_cost"])
            for label in document["labels"]
        )
        contexts = document["contexts"]
        fields["contexts"] = ContextGroups(
            tuple(contexts["assignment"]),
            tuple(contexts["names"]),
            Criterion(contexts["criterion"]),
            tuple(Link(**link) for link in contexts.get("links", [])),
            contexts.get("origin"),
        )
        fields["calibration"] = Calibration.from_json(document["calibration"])
        if fields.pop("whole_photo", False):
            raise UnknownFormat("an earlier version heard the whole photo in a way that is gone")
        voices = document.get("voices", {Voice.PLACES: 1.0})
        fields["voices"] = {Voice(name): share for name, share in voices.items()}
        fields["tiles"] = tuple(document.get("tiles", WHOLE))
        fields["thresholds"] = Thresholds(**_tuples(document["thresholds"]))
        adapters = document.get("adapters")
        fields["adapters"] = None if adapters is None else Adapters(**adapters)
        fields["grown"] = tuple(
            Growth(**{**growth, "labels": tuple(growth["labels"])})
            for growth in document.get("grown", [])
        )
        for name, kind in _ENUMS.items():
            fields[name] = kind(document[name])
        return cls(**fields)

    def write(self, path: Path) -> None:
        part = path.with_suffix(".part")
        text = json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
        part.write_text(text + "\n", encoding="utf-8")
        part.replace(path)

    @classmethod
    def read(cls, path: Path) -> Self:
        return cls.from_json(json.loads(path.read_text(encoding="utf-8")))


_ENUMS = {"mode": Mode, "orientations": Orientations, "precision": Precision}


def metrics_json(
    evaluation: Evaluation | None, keys: Sequence[str], source: str, enough: Sequence[bool]
) -> dict[str, Any]:
    """The figures of a card. `source` says which photos they come from.

    A label without 10 positives and 10 negatives among them is marked "not enough evidence".
    """
    if evaluation is None:
        return {"source": source, "images": 0, "map": None, "labels": {}}
    figures = dataclasses.asdict(evaluation)
    labels = {
        key: {
            "ap": figures["ap"][k],
            "positives": evaluation.positives[k],
            "evidence": "enough" if enough[k] else "not enough evidence",
        }
        for k, key in enumerate(keys)
    }
    whole = {name: figures[name] for name in ("images", "map", "cf1", "of1", "ece")}
    return {"source": source, **whole, "labels": labels}


def _tuples(fields: dict[str, list[Any]]) -> dict[str, Any]:
    return {name: tuple(values) for name, values in fields.items()}


def plain(value: Any) -> Any:
    """A value of JSON types only; what is not finite is null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
