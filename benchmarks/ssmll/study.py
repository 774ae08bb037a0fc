"""What is compared: draws of labels, the runs on each, and the file of every finished run."""

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from benchmarks.datasets import Pack, training_set
from benchmarks.datasets.pack import Rows
from worker.learning.backbone import Backbone, load_backbone, untrained
from worker.learning.baselines.supervised import UPPER_BOUND
from worker.learning.dataset import TrainingSet
from worker.learning.method import Method
from worker.learning.plan import Mode, TrainingConfig
from worker.learning.sources import KIZU_SMALL

SEARCH = "search"


@dataclass(frozen=True)
class Draw:
    """One pack, one share of labels, one seed: what methods are compared on.

    Draws of one seed are nested: a larger share holds the photos of a smaller one. `held_out` is
    the part of the labelled photos that only measures.
    """

    pack: Pack
    share: float
    seed: int
    held_out: float = 0.0

    def rows(self) -> tuple[Rows, Rows]:
        """Photos whose labels are learned, and those whose labels measure."""
        order = self.pack.order(self.seed)
        asked = order[: max(int(self.share * len(order)), 1)]
        cut = int(self.held_out * len(asked))
        return asked[cut:], asked[:cut]

    def dataset(self) -> TrainingSet:
        return training_set(self.pack, *self.rows())

    def for_method(self, method: Method) -> "Draw":
        """The upper bound has all labels, whatever the others have."""
        return dataclasses.replace(self, share=1.0) if method.name == UPPER_BOUND.name else self


@dataclass(frozen=True)
class Study:
    """Where results and unfinished work lie, and what all runs of a command have in common.

    `changed` are the settings that the command line changed; `mode` is resolved; `version` is that
    of the backbone, empty where it is drawn by the seed.
    """

    out: Path
    scratch: Path
    backbone: str = KIZU_SMALL
    untrained: bool = False
    version: str = ""
    device: str = "cpu"
    mode: str = "tune"
    changed: dict[str, Any] = field(default_factory=dict)

    def config(self, seed: int, tuned: Mapping[str, Any] = MappingProxyType({})) -> TrainingConfig:
        changed = {**self.changed, **tuned}
        return dataclasses.replace(TrainingConfig(), seed=seed, mode=Mode(self.mode), **changed)

    def tuned(self, draw: Draw, method: Method) -> dict[str, Any]:
        """What a search chose for a method; nothing without one."""
        file = self.search_file(draw, method)
        return dict(read(file)["chosen"]) if file.exists() else {}

    def load(self, seed: int) -> Backbone:
        if self.untrained:
            return untrained(self.backbone, seed=seed).to(torch.device(self.device))
        return load_backbone(self.backbone, device=self.device)

    @property
    def backbone_name(self) -> str:
        return f"{self.backbone}-untrained" if self.untrained else self.backbone

    def file(self, draw: Draw, method: Method) -> Path:
        share, seed = f"{draw.for_method(method).share:g}", str(draw.seed)
        return self._named(draw.pack.name, share, self.mode, method.name, seed)

    def search_file(self, draw: Draw, method: Method) -> Path:
        return self._named(SEARCH, draw.pack.name, self.mode, method.name)

    def lock(self, draw: Draw, group: str) -> Path:
        """Where whoever works on a group of methods says so."""
        named = self._named(draw.pack.name, f"{draw.share:g}", self.mode, str(draw.seed), group)
        return self.out / ".locks" / named.stem

    def _named(self, *parts: str) -> Path:
        name = self.backbone_name
        apart = () if name == KIZU_SMALL else (name.replace("/", "_"),)
        return self.out / f"{'-'.join((*parts, *apart))}.json"


def write(path: Path, document: dict[str, Any]) -> None:
    """One line for each field; a reader sees the whole file or none."""
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in document.items()]
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    part.replace(path)


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document
