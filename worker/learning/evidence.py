"""What held-out labels say about a model: its calibration, thresholds and figures.

How the scores were held out, by a validation split or by cross-fitting, is the trainer's business.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.learning.calibration import Platt, cross_calibrate, fit_platt, has_evidence
from worker.learning.card import metrics_json
from worker.learning.metrics import evaluate
from worker.learning.thresholds import Thresholds, precision_thresholds


@dataclass(frozen=True)
class Evidence:
    """Scores of photos that the scoring model never trained on: (N, K) logits and labels."""

    logits: NDArray[np.float64]
    labels: NDArray[np.int8]


def joined(parts: Sequence[Evidence]) -> Evidence | None:
    """All evidence there is; None without any."""
    if not parts:
        return None
    return Evidence(
        np.concatenate([part.logits for part in parts]),
        np.concatenate([part.labels for part in parts]),
    )


def judge(
    evidence: Evidence | None, keys: Sequence[str], *, cross_fitted: bool
) -> tuple[Platt, Thresholds, dict[str, Any]]:
    """Calibration, selection thresholds and the figures of a card from held-out scores."""
    source = "cross_fitted" if cross_fitted else "validation"
    if evidence is None:
        closed, enough = Thresholds.closed(len(keys)), [False] * len(keys)
        return Platt.identity(len(keys)), closed, metrics_json(None, keys, source, enough)
    calibration = fit_platt(evidence.logits, evidence.labels)
    probabilities = calibration(evidence.logits)
    unseen = cross_calibrate(evidence.logits, evidence.labels)
    evaluation = evaluate(probabilities, evidence.labels, unseen=unseen)
    enough = [has_evidence(column) for column in evidence.labels.T]
    return (
        calibration,
        precision_thresholds(probabilities, evidence.labels),
        metrics_json(evaluation, keys, source, enough),
    )
