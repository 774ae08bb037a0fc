"""What a model version promises: from which confidence on how small a share of answers is wrong."""

from collections.abc import Sequence
from typing import Any

from app.training.models import ModelVersion

# Those that a card makes promises about.
PROMISED_SHARES = (0.01, 0.02, 0.05, 0.1)


def promised_thresholds(
    version: ModelVersion, shares: Sequence[float] = PROMISED_SHARES
) -> dict[str, list[tuple[str, list[float | None]]]]:
    """Per label id, for each answer: from which confidence on at most each share is wrong.

    Empty for a version that has no photos to promise by; None where it promises nothing.
    """
    made = version.card.get("promises") or {}
    keys = [label["key"] for label in version.card.get("labels", [])]
    return {
        label_id: [
            (answer, [_threshold(made[key], value, share) for share in shares])
            for answer, value in (("present", 1), ("absent", 0))
        ]
        for label_id, key in zip(version.label_ids, keys, strict=False)
        if key in made
    }


def _threshold(promises: list[dict[str, Any]], value: int, share: float) -> float | None:
    found = [p["threshold"] for p in promises if p["value"] == value and p["alpha"] == share]
    return float(found[0]) if found else None
