"""Rows that are no entities: what a prediction run hands over, and counts by confidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from app.annotations.models import LabelValue


@dataclass(frozen=True)
class PredictionRow:
    """One model version's view of one image.

    `probabilities` has shape (labels,) in the version's label order and is calibrated;
    `contexts` has shape (groups,). `uncertainty` and `novelty` are higher where a person's look
    is worth more, `margin` is lower there; `novelty` is None for a version that cannot tell.
    """

    image_id: UUID
    probabilities: Sequence[float]
    contexts: Sequence[float]
    uncertainty: float
    margin: float
    novelty: float | None = None


@dataclass(frozen=True)
class Proposal:
    """A prediction confident enough to ask a person about.

    `confidence` is the calibrated probability of `value`, `threshold` what it had to reach.
    """

    image_id: UUID
    label_id: UUID
    value: LabelValue
    confidence: float
    threshold: float
    has_heat_map: bool = False


@dataclass(frozen=True)
class Bin:
    """Pseudo-labels with a confidence from `low` to `high`; `expected_wrong` of them are wrong if
    confidence is what it says."""

    low: float
    high: float
    count: int
    expected_wrong: float
