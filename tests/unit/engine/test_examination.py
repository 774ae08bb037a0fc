"""What an examination says is kept by label id, whatever the labels are called."""

from uuid import UUID

import numpy as np
import pytest

from app.images.models import Split
from app.training.gate import Verdict
from app.training.snapshots import LabelColumn, Snapshot, SnapshotRow
from worker.engine.examination import Scored, compare, version_metrics

SCRATCH, DENT = UUID(int=1), UUID(int=2)
BOTH = (SCRATCH, DENT)


@pytest.fixture
def snapshot():
    """Forty evaluation photos: every other has a scratch, every fourth a dent."""
    labels = tuple(LabelColumn(i, f"key-{i.int}", (), 1.0) for i in BOTH)
    values = [(int(n % 2 == 0), int(n % 4 == 0)) for n in range(40)]
    rows = [SnapshotRow(UUID(int=n), str(n), Split.EVALUATION, v) for n, v in enumerate(values)]
    return Snapshot(labels, tuple(rows))


def scored(snapshot, *, good, number=None):
    """A version that knows the labels `good`, and gets the others wrong everywhere."""
    truth = np.array([row.values for row in snapshot.rows], dtype=float)
    right = np.array([label_id in good for label_id in BOTH])
    return Scored(number, BOTH, np.where(right, truth, 1 - truth))


def test_the_gate_guards_labels_by_their_id(snapshot):
    candidate, live = scored(snapshot, good={SCRATCH}), scored(snapshot, good=BOTH, number=3)
    found = compare(candidate, live, snapshot, guarded={str(DENT)}, margin=0.05)
    assert found["passed"] is False
    assert found["labels"][str(DENT)]["verdict"] == Verdict.MAY_BE_WORSE
    assert found["labels"][str(SCRATCH)]["verdict"] == Verdict.NOT_GUARDED


def test_figures_are_kept_by_label_id(snapshot):
    card = {"images": 40, "map": None, "labels": {"key-1": {"ap": {"value": 0.8}}}}
    metrics = version_metrics(card, scored(snapshot, good={SCRATCH}), snapshot)
    assert metrics["images"] == 40
    assert metrics["labels"] == {str(SCRATCH): {"ap": {"value": 0.8}}}
    assert metrics["ap"] == {str(SCRATCH): {"value": 0.8}}
    assert metrics["recall"] == {str(SCRATCH): 1.0, str(DENT): 0.0}
