"""Labels that people may have got wrong: confident learning, one label at a time.

Northcutt, Jiang & Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels" (JAIR
2021), for yes-or-no labels. An answer is doubtful where a model that did not learn from it is as
sure of the opposite as it usually is where people gave the opposite. Finding is all that happens
here: what is true is for people to say.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.learning.calibration import has_evidence

Scores = NDArray[np.float64]
Labels = NDArray[np.int8]

# More than anyone looks at again; the most doubtful come first.
MOST_DOUBTFUL = 500


@dataclass(frozen=True)
class Doubtful:
    """One answer: `photo` and `label` by key, what a person said (1 present, 0 absent), and the
    held-out probability of that, 0..1."""

    photo: str
    label: str
    value: int
    probability: float


def doubtful_cells(probabilities: Scores, labels: Labels) -> NDArray[np.bool_]:
    """Which answers (N, K) the confident joint counts against the person who gave them.

    `probabilities` (N, K) of presence must be held out: a model remembers what it learned. A label
    with too little evidence (10 positives and 10 negatives) gives no reason to doubt anybody.
    """
    doubted = np.zeros(labels.shape, dtype=bool)
    for column, (p, y) in enumerate(zip(probabilities.T, labels.T, strict=True)):
        if has_evidence(y):
            # How sure the model is of an answer, on average, where people gave it.
            sure_present, sure_absent = p[y == 1].mean(), 1 - p[y == 0].mean()
            rather_absent = (1 - p >= sure_absent) & (p < 0.5)
            rather_present = (p >= sure_present) & (p >= 0.5)
            doubted[:, column] = np.where(y == 1, rather_absent, (y == 0) & rather_present)
    return doubted


def noise_rates(doubted: NDArray[np.bool_], labels: Labels) -> list[float | None]:
    """Estimated share of wrong answers of each label, (N, K) to K; None without evidence."""
    return [
        float(wrong.sum() / (y >= 0).sum()) if has_evidence(y) else None
        for wrong, y in zip(doubted.T, labels.T, strict=True)
    ]


def ranked(
    doubted: NDArray[np.bool_],
    probabilities: Scores,
    labels: Labels,
    photos: Sequence[str],
    keys: Sequence[str],
) -> tuple[Doubtful, ...]:
    """The doubtful answers, the least probable first; none where nobody said which photos (N,)
    they are about."""
    if not photos:
        return ()
    found = [
        Doubtful(
            photos[row],
            keys[column],
            value := int(labels[row, column]),
            float(probabilities[row, column] if value else 1 - probabilities[row, column]),
        )
        for row, column in np.argwhere(doubted).tolist()
    ]
    return tuple(sorted(found, key=lambda one: one.probability)[:MOST_DOUBTFUL])
