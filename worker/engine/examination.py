"""A candidate examined on the evaluation set, beside the live version where there is one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from app.images.models import Split
from app.training import gate
from app.training.gate import Comparison
from app.training.snapshots import Snapshot
from worker.learning.comparison import ap_difference, recalls

Scores = NDArray[np.float64]
Labels = NDArray[np.int8]


@dataclass(frozen=True)
class Scored:
    """One version's probabilities (N, K) of the evaluation images, K as its own `label_ids`."""

    number: int | None
    label_ids: Sequence[UUID]
    probabilities: Scores

    def column(self, label_id: UUID) -> Scores:
        return np.asarray(self.probabilities[:, self.label_ids.index(label_id)])


def evaluation_set(snapshot: Snapshot) -> tuple[list[str], Labels]:
    """Contents and labels (N, K) of the images that were labelled and never train."""
    rows = [row for row in snapshot.rows if row.split == Split.EVALUATION and row.is_labeled]
    labels = np.array([row.values for row in rows], dtype=np.int8)
    return [row.sha256 for row in rows], labels.reshape(len(rows), len(snapshot.labels))


def compare(
    candidate: Scored, live: Scored, snapshot: Snapshot, *, guarded: set[str], margin: float
) -> dict[str, Any]:
    """The gate's document; `guarded` are label ids. Labels that the live version does not know
    have nothing to beat."""
    _, labels = evaluation_set(snapshot)
    comparisons = {}
    for column, label in enumerate(snapshot.labels):
        if label.id in live.label_ids:
            difference = ap_difference(
                candidate.column(label.id), live.column(label.id), labels[:, column]
            )
            comparisons[str(label.id)] = Comparison(
                difference.positives,
                _finite(difference.value),
                _finite(difference.low),
                _finite(difference.high),
            )
    assert live.number is not None
    return gate.judge(comparisons, guarded=guarded, margin=margin, against=live.number)


def version_metrics(
    card_metrics: dict[str, Any], candidate: Scored, snapshot: Snapshot
) -> dict[str, Any]:
    """The card's figures by label id, with average precision and recall as the KPIs read them."""
    _, labels = evaluation_set(snapshot)
    of_card = card_metrics["labels"]
    per_label = {str(x.id): of_card[x.key] for x in snapshot.labels if x.key in of_card}
    ids = [str(label.id) for label in snapshot.labels]
    probabilities = np.stack([candidate.column(label.id) for label in snapshot.labels], axis=1)
    return {
        **card_metrics,
        "labels": per_label,
        "ap": {label_id: figures["ap"] for label_id, figures in per_label.items()},
        "recall": dict(zip(ids, recalls(probabilities, labels), strict=True)),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
