"""The gate: a candidate goes live unless it may be worse than the live version on a guarded label.

Both versions are scored on the same evaluation images; the worker gives, per label, the
difference in average precision and the bounds of its paired bootstrap. What follows from it is
decided here.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.training.naming import LabelKeys, with_keys

ENOUGH_POSITIVES = 10


class Verdict(StrEnum):
    NOT_WORSE = "not_worse"
    MAY_BE_WORSE = "may_be_worse"
    TOO_FEW_POSITIVES = "too_few_positives"
    NOT_GUARDED = "not_guarded"


@dataclass(frozen=True)
class Comparison:
    """Candidate minus live of one label. `low` and `high` are one-sided 95 % bounds; all three
    are None where nothing could be ranked."""

    positives: int
    difference: float | None
    low: float | None
    high: float | None


def judge(
    comparisons: Mapping[str, Comparison],
    *,
    guarded: Collection[str],
    margin: float,
    against: int,
) -> dict[str, Any]:
    """The document kept in `model_version.gate`, labels by id. `against` is the number of the live
    version.

    `passed` is None where no label had enough positives: that holds nothing against a candidate.
    """
    labels = {
        label_id: {
            "positives": comparison.positives,
            "difference": comparison.difference,
            "low": comparison.low,
            "high": comparison.high,
            "verdict": _verdict(comparison, guarded=label_id in guarded, margin=margin),
        }
        for label_id, comparison in comparisons.items()
    }
    verdicts = {found["verdict"] for found in labels.values()}
    passed = None
    if verdicts & {Verdict.NOT_WORSE, Verdict.MAY_BE_WORSE}:
        passed = Verdict.MAY_BE_WORSE not in verdicts
    return {"passed": passed, "against": against, "margin": margin, "labels": labels}


def worded(document: Mapping[str, Any], keys: LabelKeys) -> dict[str, Any]:
    """The document as people read it: labels by key, and the reason in a sentence."""
    named = with_keys(document, keys, "labels")
    return {**named, "reason": named.get("reason") or _reason(named)} if named else {}


def _verdict(comparison: Comparison, *, guarded: bool, margin: float) -> Verdict:
    if comparison.positives < ENOUGH_POSITIVES or comparison.low is None:
        return Verdict.TOO_FEW_POSITIVES
    if not guarded:
        return Verdict.NOT_GUARDED
    return Verdict.NOT_WORSE if comparison.low >= -margin else Verdict.MAY_BE_WORSE


def _reason(named: Mapping[str, Any]) -> str:
    against = named.get("against")
    failed = [
        key for key, found in named["labels"].items() if found["verdict"] == Verdict.MAY_BE_WORSE
    ]
    if failed:
        return (
            f"It may be worse than version {against} by more than {named['margin']:.2f} of average "
            f"precision on: {', '.join(failed)}."
        )
    if named["passed"] is None:
        return (
            f"No guarded label has {ENOUGH_POSITIVES} positives in the evaluation set yet, so "
            f"nothing speaks against it."
        )
    return f"It is not worse than version {against} on any guarded label that could be judged."


def first_version() -> dict[str, Any]:
    """The gate of a version that has nothing to beat."""
    return {"passed": None, "reason": "It is the first version that goes live.", "labels": {}}


def not_compared(reason: str, *, against: int) -> dict[str, Any]:
    """The gate of a version that could not be compared: a person decides."""
    return {"passed": False, "reason": reason, "against": against, "labels": {}}


def opens(gate: Mapping[str, Any]) -> bool:
    """Whether the candidate goes live by itself."""
    return gate.get("passed") is not False
