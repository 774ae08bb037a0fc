"""What held-out labels say about a model: its calibration, thresholds and figures.

How the scores were held out, by a validation split or by cross-fitting, is the trainer's business.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from worker.learning.acceptance import promise
from worker.learning.calibration import (
    ENOUGH_IMAGES,
    Calibration,
    cross_calibrate,
    has_evidence,
)
from worker.learning.card import metrics_json, plain
from worker.learning.label_noise import Doubtful, doubtful_cells, noise_rates, ranked
from worker.learning.metrics import evaluate, reliability_diagram
from worker.learning.thresholds import ABSENT, PRESENT, Thresholds, precision_thresholds

Scores = NDArray[np.float64]
Labels = NDArray[np.int8]
Rows = NDArray[np.int64]

# The shares of errors that a factory may choose between, each promised with 95 % confidence.
PROMISED_ERRORS = (0.01, 0.02, 0.05, 0.1)
PROMISE_DELTA = 0.05


@dataclass(frozen=True)
class Evidence:
    """Scores of labelled photos, (N, K) logits and labels.

    `voices` (N, K, V) are what the logits are made of, where they are told apart.

    Whether the model that scored them had trained on them is said where they are made: calibration
    and promises take only held-out ones.
    """

    logits: NDArray[np.float64]
    labels: NDArray[np.int8]
    photos: tuple[str, ...] = ()  # keys of the photos, where anybody will ask for them
    voices: NDArray[np.float64] | None = None

    def weighed(self, weights: Scores) -> "Evidence":
        """With logits by other weights (V,) of the voices."""
        assert self.voices is not None
        return replace(self, logits=self.voices @ weights)


def joined(parts: Sequence[Evidence]) -> Evidence:
    """The evidence of all parts, of which there must be one at least."""
    voices = [part.voices for part in parts if part.voices is not None]
    return Evidence(
        np.concatenate([part.logits for part in parts]),
        np.concatenate([part.labels for part in parts]),
        tuple(photo for part in parts for photo in part.photos),
        np.concatenate(voices) if len(voices) == len(parts) else None,
    )


def set_apart(rows: Rows, seed: int) -> tuple[Rows, Rows]:
    """Held-out rows to measure confidence by, and rows to make promises by.

    Half of them each; where there are fewer than 300, all measure and nothing can be promised.
    """
    if len(rows) < ENOUGH_IMAGES:
        return rows, rows[:0]
    drawn = np.random.default_rng(seed).permutation(rows)
    return np.sort(drawn[::2]), np.sort(drawn[1::2])


@dataclass(frozen=True)
class Judgement:
    """What a card says of a model's confidence; `promises` by label key, as JSON.

    `doubtful` are answers of people that the evidence speaks against.
    """

    calibration: Calibration
    thresholds: Thresholds
    metrics: dict[str, Any]
    promises: dict[str, list[dict[str, Any]]]
    doubtful: tuple[Doubtful, ...] = ()


def judge(
    evidence: Evidence | None,
    fresh: Evidence | None,
    keys: Sequence[str],
    *,
    cross_fitted: bool,
    miss_costs: Sequence[float] | None = None,
) -> Judgement:
    """Calibration and thresholds from `evidence`, promises from `fresh`, figures from both.

    `fresh` labels had no part in training, weights or calibration: what is promised about
    accepting without a person may rest on no others.
    """
    source = "cross_fitted" if cross_fitted else "validation"
    if evidence is None:
        metrics = metrics_json(None, keys, source, [False] * len(keys))
        identity = Calibration.identity(len(keys))
        return Judgement(identity, Thresholds.closed(len(keys)), metrics, {})
    calibration = Calibration.fit(evidence.logits, evidence.labels)
    probabilities = calibration(evidence.logits)
    unseen = cross_calibrate(evidence.logits, evidence.labels)
    whole = evidence
    if fresh is not None:
        whole = joined([evidence, fresh])
        unseen = np.concatenate([unseen, calibration(fresh.logits)])
    evaluation = evaluate(calibration(whole.logits), whole.labels, unseen=unseen)
    enough = [has_evidence(column) for column in whole.labels.T]
    before = reliability_diagram(np.asarray(expit(whole.logits)), whole.labels)
    after = reliability_diagram(unseen, whole.labels)
    metrics = metrics_json(evaluation, keys, source, enough)
    metrics["reliability"] = plain({"before": asdict(before), "after": asdict(after)})
    doubted = doubtful_cells(unseen, whole.labels)
    for key, rate in zip(keys, noise_rates(doubted, whole.labels), strict=True):
        metrics["labels"][key]["doubtful_share"] = rate
    return Judgement(
        calibration,
        precision_thresholds(probabilities, evidence.labels, miss_costs=miss_costs),
        metrics,
        {} if fresh is None else promises(calibration(fresh.logits), fresh.labels, keys),
        ranked(doubted, unseen, whole.labels, whole.photos, keys),
    )


def promises(
    probabilities: Scores, labels: Labels, keys: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """What can be promised about accepting each label's answers, (N, K) and (N, K)."""
    found = {}
    for key, probability, label in zip(keys, probabilities.T, labels.T, strict=True):
        made = [
            promise(probability, label, value=value, alpha=alpha, delta=PROMISE_DELTA)
            for value in (PRESENT, ABSENT)
            for alpha in PROMISED_ERRORS
        ]
        found[key] = [asdict(one) for one in made if one is not None]
    return found
