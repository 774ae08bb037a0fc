"""The evidence of a day as JSON, and that of some days out of it again."""

from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import date
from functools import lru_cache
from typing import Any
from uuid import UUID

import numpy as np

from app.kpis.evidence import Evidence, Kind
from app.kpis.repository import DecisionCount, FinishedImages, RestatedImage, SpentTime

Packed = dict[str, list[Any]]
# Few labels and people, in many rows.
_id = lru_cache(maxsize=10_000)(UUID)


def pack(found: Evidence) -> Packed:
    """Without the day, which whoever keeps it knows."""
    return {
        Kind.FINISHED: [
            [
                row.reviewer_id and str(row.reviewer_id),
                row.arm,
                row.line,
                row.count,
                row.seconds.tolist(),
            ]
            for row in found.finished
        ],
        Kind.DECISIONS: [
            [str(label_id), *rest]
            for _, label_id, *rest in (vars(row).values() for row in found.decisions)
        ],
        Kind.SPENT: [[row.line, row.active_ms, row.audit_ms] for row in found.spent],
        Kind.RESTATED: [[row.line, str(row.image_id)] for row in found.restated],
    }


def unpack(day: date, days: Sequence[Packed], kinds: Collection[Kind]) -> Evidence:
    """As if all had happened on one day: a row for what is alike in all of them."""

    def rows(name: Kind) -> Iterable[list[Any]]:
        return (row for packed in days if name in kinds for row in packed[name])

    return Evidence(
        _finished(day, rows(Kind.FINISHED)),
        _decisions(day, rows(Kind.DECISIONS)),
        _spent(day, rows(Kind.SPENT)),
        [RestatedImage(day, line, _id(image)) for line, image in rows(Kind.RESTATED)],
    )


def _finished(day: date, rows: Iterable[list[Any]]) -> list[FinishedImages]:
    found: dict[tuple[Any, ...], tuple[list[int], list[float]]] = defaultdict(lambda: ([], []))
    for reviewer, arm, line, count, seconds in rows:
        counts, all_seconds = found[reviewer, arm, line]
        counts.append(count)
        all_seconds += seconds
    return [
        FinishedImages(
            day, reviewer and _id(reviewer), arm, line, sum(counts), np.array(seconds, np.float64)
        )
        for (reviewer, arm, line), (counts, seconds) in found.items()
    ]


def _decisions(day: date, rows: Iterable[list[Any]]) -> list[DecisionCount]:
    counts: Tally[tuple[Any, ...]] = Tally()
    for *alike, count in rows:
        counts[tuple(alike)] += count
    return [
        DecisionCount(day, _id(label), arm, was_shown, verdict, suggested, value, line, count)
        for (label, arm, was_shown, verdict, suggested, value, line), count in counts.items()
    ]


def _spent(day: date, rows: Iterable[list[Any]]) -> list[SpentTime]:
    active_ms: Tally[str | None] = Tally()
    audit_ms: Tally[str | None] = Tally()
    for line, active, audit in rows:
        active_ms[line] += active
        audit_ms[line] += audit
    return [SpentTime(day, line, active, audit_ms[line]) for line, active in active_ms.items()]
