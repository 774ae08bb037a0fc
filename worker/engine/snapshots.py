"""A dataset snapshot as a Parquet file: written once, read back by every attempt of a training.

What a snapshot holds is decided in `app.training.snapshots`.
"""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq

from app.images.models import Split
from app.training.snapshots import LabelColumn, Snapshot, SnapshotRow

_LABELS = b"kizu_labels"


class SnapshotDamaged(Exception):
    """The file does not hold what was frozen."""


def write(snapshot: Snapshot, path: Path) -> None:
    """One row per image; the labels of its `values` are described in the file's own metadata."""
    table = pa.table(
        {
            "image_id": [str(row.image_id) for row in snapshot.rows],
            "sha256": [row.sha256 for row in snapshot.rows],
            "split": [row.split.value for row in snapshot.rows],
            "values": [list(row.values) for row in snapshot.rows],
        },
        schema=pa.schema(
            {
                "image_id": pa.string(),
                "sha256": pa.string(),
                "split": pa.string(),
                "values": pa.list_(pa.int8()),
            },
            metadata={_LABELS: json.dumps([_plain(label) for label in snapshot.labels])},
        ),
    )
    pq.write_table(table, path, compression="zstd")


def read(path: Path, *, sha256: str) -> Snapshot:
    """The snapshot in a file. Raises `SnapshotDamaged` if it is not the one of that digest."""
    table = pq.read_table(path)
    labels = json.loads(table.schema.metadata[_LABELS])
    snapshot = Snapshot(
        labels=tuple(
            LabelColumn(UUID(one["id"]), one["key"], tuple(one["prompts"]), one["miss_cost"])
            for one in labels
        ),
        rows=tuple(
            SnapshotRow(
                UUID(row["image_id"]), row["sha256"], Split(row["split"]), tuple(row["values"])
            )
            for row in table.to_pylist()
        ),
    )
    if snapshot.digest() != sha256:
        raise SnapshotDamaged(f"{path.name} is not the snapshot {sha256[:12]}")
    return snapshot


def _plain(label: LabelColumn) -> dict[str, Any]:
    return {
        "id": str(label.id),
        "key": label.key,
        "prompts": list(label.prompts),
        "miss_cost": label.miss_cost,
    }
