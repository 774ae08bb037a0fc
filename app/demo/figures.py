"""What the demo measured; `as_json` is the shape that `kizu demo --json` writes."""

from dataclasses import asdict, dataclass, field
from typing import Any

from app.demo.scoring import Reliability


@dataclass(frozen=True)
class Round:
    """One training, scored on the pack's test photos and on its undecided training photos.

    `ap` is None for a label that no test photo shows, and `map` the mean of the others.
    `gate_passed` is None where there was nothing to compare with.
    """

    map: float
    ap: dict[str, float | None]
    expected_calibration_error: float
    pseudo_labels: int
    pseudo_label_precision: float | None
    pseudo_label_recall: float | None
    train_seconds: float
    predict_seconds: float
    gate_passed: bool | None


@dataclass(frozen=True)
class Accepted:
    """What was accepted without a person, how much of it is wrong, and what checks found.

    `ended`: labels whose acceptance the checks ended.
    """

    allowed_error: float
    answers: int
    wrong: int
    audited: int
    audited_wrong: int
    ended: list[str]
    cleared_images: int


@dataclass
class Figures:
    pack: str
    images: int
    labeled: int
    evaluation: int
    test: int
    rounds: list[Round] = field(default_factory=list)
    reviewed: int = 0
    decisions: int = 0
    accepted: int = 0
    automatic: Accepted | None = None
    kpis: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    peak_rss_mb: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "times_of_people": "simulated"}


@dataclass(frozen=True)
class Chip:
    """A label under a picture: `right`, `wrong` or `missed`, and the confidence if suggested."""

    label: str
    kind: str
    confidence: float | None


@dataclass(frozen=True)
class Exhibit:
    file: str
    content: bytes
    chips: list[Chip]


@dataclass(frozen=True)
class Exhibits:
    """What the report shows besides numbers. A curve is (share of the training, loss) points."""

    photos: list[Exhibit]
    curves: list[list[tuple[float, float]]]
    reliability: Reliability
