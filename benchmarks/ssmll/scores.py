"""The figures of one finished run; the test photos are scored here, and nothing is chosen on them.

- `map`, `ap`: average precision on the test split. `map_strict` leaves out the cells that the pack
  doubts.
- `cf1`, `of1`: a label is called present from a calibrated probability of 0.5 on. `cf1_mat` and
  `of1_mat`: from a threshold of its own on, the one of greatest F1 (metric-adaptive thresholds,
  arXiv 2407.18624) on the cross-fitted scores of labelled photos, or, for methods that hold nothing
  out, on the labelled photos themselves; `thresholds_from` says which.
- `pseudo_labels`: precision and recall of what the training took for true in its last round, on
  train photos without a human label; null where it made none. These labels were hidden from it.
- `ece`, `reliability`: calibration error on the test split and its 15 bins (count, mean
  probability, share of positives), of raw scores and after the method's own calibration. Methods
  that hold nothing out have none, and both are alike.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from benchmarks.datasets import Pack
from benchmarks.datasets.pack import Rows
from benchmarks.ssmll.bench import Trained
from benchmarks.ssmll.study import Draw
from worker.learning.baselines.d2l import best_threshold
from worker.learning.calibration import expected_calibration_error, reliability
from worker.learning.metrics import (
    average_precisions,
    class_f1,
    mean_average_precision,
    overall_f1,
    pseudo_label_quality,
)
from worker.learning.predictor import TrainedModel
from worker.learning.thresholds import ABSENT, PRESENT

BINS = 15
CHUNK = 256
Scores = NDArray[np.float64]


def logits(model: TrainedModel, pack: Pack, rows: Rows) -> Scores:
    """What a model says of the photos at `rows`, before calibration, (M, K)."""
    predictor = model.predictor()
    parts = [
        predictor.look([pack.photo(int(i)) for i in rows[start : start + CHUNK]]).logits
        for start in range(0, len(rows), CHUNK)
    ]
    return np.concatenate(parts)


def scores(trained: Trained, draw: Draw) -> dict[str, Any]:
    """Everything of the module's list, as JSON."""
    pack, card = draw.pack, trained.model.card
    rows = np.flatnonzero(pack.test)
    labels, seen = pack.labels[rows], logits(trained.model, pack, rows)
    probabilities = card.calibration(seen)
    strict = np.where(pack.doubted[rows], np.int8(-1), labels)
    keys = [spec.key for spec in pack.specs]
    ap = average_precisions(seen, labels)
    thresholds, source = _adaptive_thresholds(trained, draw)
    cf1, of1 = _f1(probabilities, labels, 0.5)
    cf1_mat, of1_mat = _f1(probabilities, labels, thresholds)
    found = {
        "map": mean_average_precision(seen, labels),
        "map_strict": mean_average_precision(seen, strict),
        "ap": dict(zip(keys, ap.tolist(), strict=True)),
        "cf1": cf1,
        "of1": of1,
        "cf1_mat": cf1_mat,
        "of1_mat": of1_mat,
        "thresholds_from": source,
        "pseudo_labels": _pseudo_labels(trained, draw),
        **_confidence(expit(seen), probabilities, labels),
    }
    return {name: rounded(value) for name, value in found.items()}


def _f1(
    probabilities: Scores, labels: NDArray[np.int8], thresholds: Scores | float
) -> tuple[float, float]:
    """CF1 and OF1 of (M, K), called present from one threshold or from (K,) on."""
    called = probabilities >= thresholds
    return class_f1(called, labels), overall_f1(called, labels)


def _adaptive_thresholds(trained: Trained, draw: Draw) -> tuple[Scores, str]:
    """The threshold of greatest F1 of each label (K,), and which labels it was chosen on."""
    if trained.held_out is not None:
        seen, labels = trained.held_out.logits, trained.held_out.labels
    else:
        rows, _ = draw.rows()
        seen, labels = logits(trained.model, draw.pack, rows), draw.pack.labels[rows]
    probabilities = trained.model.card.calibration(seen)
    best = [
        best_threshold(column, label, beta=1.0)
        for column, label in zip(probabilities.T, labels.T, strict=True)
    ]
    return np.array(best), "train" if trained.held_out is None else "held-out"


def _pseudo_labels(trained: Trained, draw: Draw) -> dict[str, Any] | None:
    """Number, and precision and recall of either value, of the last round's pseudo-labels."""
    rows = trained.pooled
    truth = draw.pack.labels[~draw.pack.test][rows]
    selected = trained.answers[rows]
    if not (selected >= 0).any():
        return None
    count = int((selected >= 0).sum())
    return {
        "count": count,
        **{
            name: pseudo_label_quality(selected, truth, value=value)
            for name, value in (("present", PRESENT), ("absent", ABSENT))
        },
    }


def _confidence(raw: Scores, calibrated: Scores, labels: NDArray[np.int8]) -> dict[str, Any]:
    both = {"before": raw, "after": calibrated}
    return {
        "ece": {name: expected_calibration_error(p, labels) for name, p in both.items()},
        "reliability": {name: bins(p, labels) for name, p in both.items()},
    }


def bins(probabilities: Scores, labels: NDArray[np.int8]) -> list[list[float]]:
    """Count, mean probability and share of positives of each bin that is not empty."""
    known = labels >= 0
    count, confidence, positives = reliability(probabilities[known], labels[known] == 1, BINS)
    full = count > 0
    each = (count[full], confidence[full] / count[full], positives[full] / count[full])
    rows: list[list[float]] = np.stack(each, axis=1).tolist()
    return rows


def rounded(value: Any) -> Any:
    """Four digits; what could not be computed is null."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value
