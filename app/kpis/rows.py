"""The rows behind a figure, and what each of them adds to it."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from app.annotations import service as annotations
from app.annotations.models import LabelValue
from app.core.clock import now
from app.core.errors import Invalid
from app.core.pagination import Slice
from app.images.models import Arm
from app.kpis.evidence import week_of
from app.kpis.formulas import EVERYBODY, Control
from app.kpis.reading import RowReading
from app.kpis.row_queries import EvidenceRow, rows_behind
from app.kpis.schemas import Figure, KpiRowOut, KpiRowQuery, RowKind
from app.reviews.models import Verdict

ABOUT_LABELS = frozenset(
    {
        Figure.ACCEPTANCE_RATE,
        Figure.PRECISION,
        Figure.RECALL,
        Figure.ABSENT_PRECISION,
        Figure.QUEUE,
        Figure.AGREEMENT,
    }
)
Contribution = Callable[[EvidenceRow], float | None]


def list_rows(reading: RowReading, *, limit: int) -> Slice[KpiRowOut]:
    """One page. Raises `Invalid` for a label that does not exist, or where labels do not matter."""
    query = reading.query
    keys = annotations.label_keys(reading.session, reading.project.id)
    is_of_opinions = query.figure == Figure.AGREEMENT
    found = rows_behind(
        reading.session,
        reading.period,
        query.figure,
        label_id=_label_id(query, keys),
        image_ids={x.image_id for x in reading.evidence.restated} if is_of_opinions else (),
        cursor=query.cursor,
        limit=limit,
    )
    contribution = _contribution(reading)
    rows = [_describe(row, keys, contribution(row)) for row in found.rows]
    return Slice(rows, found.next_cursor)


def _label_id(query: KpiRowQuery, keys: dict[UUID, str]) -> UUID | None:
    if query.label is None:
        return None
    if query.figure not in ABOUT_LABELS:
        raise Invalid(f"{query.figure} is no figure about a label.")
    for label_id, key in keys.items():
        if key == query.label:
            return label_id
    raise Invalid(f"unknown label: {query.label}")


def _contribution(reading: RowReading) -> Contribution:
    figure = reading.query.figure
    if figure == Figure.TIME_SAVED:
        return _seconds_saved(reading.evidence.control)
    if figure == Figure.QUEUE:
        return _seconds_waited(now())
    return _CONTRIBUTIONS[figure]


def _seconds_saved(control: Control) -> Contribution:
    """Against the same control times as `formulas.time_saved`."""

    def saved(row: EvidenceRow) -> float | None:
        if control.images == 0:
            return None
        if row.kind == RowKind.CLEARED:
            return control.mean(EVERYBODY)
        if row.kind == RowKind.AUDIT:
            return -(row.seconds or 0.0)
        if row.arm == Arm.CONTROL or row.seconds is None:
            return 0.0
        return control.mean(control.reference(row.author_id, week_of(row.day))) - row.seconds

    return saved


def _seconds_waited(at: datetime) -> Contribution:
    return lambda row: (at - row.at).total_seconds()


def _is_right(row: EvidenceRow) -> float:
    return float(row.suggested_value == row.stated_value)


_CONTRIBUTIONS: dict[Figure, Contribution] = {
    Figure.FINISHED_IMAGES: lambda _: 1.0,
    Figure.IMAGES_PER_HOUR: lambda row: row.seconds,
    Figure.ACTIVE_TIME: lambda row: row.seconds,
    Figure.ACCEPTANCE_RATE: lambda row: float(row.verdict == Verdict.ACCEPT),
    Figure.PRECISION: _is_right,
    Figure.RECALL: lambda row: float(row.suggested_value == LabelValue.PRESENT),
    Figure.ABSENT_PRECISION: _is_right,
    Figure.AGREEMENT: lambda row: None if row.agreeing is None else float(row.agreeing),
}


def _describe(row: EvidenceRow, keys: dict[UUID, str], contribution: float | None) -> KpiRowOut:
    return KpiRowOut(
        id=row.id,
        at=row.at,
        kind=RowKind(row.kind),
        image_id=row.image_id,
        file_name=row.file_name,
        line=row.line,
        reviewer_id=row.author_id,
        reviewer=row.reviewer,
        arm=Arm(row.arm) if row.arm else None,
        label=keys[row.label_id] if row.label_id else None,
        suggested_value=LabelValue(row.suggested_value) if row.suggested_value else None,
        stated_value=LabelValue(row.stated_value) if row.stated_value else None,
        verdict=Verdict(row.verdict) if row.verdict else None,
        seconds=row.seconds,
        contribution=contribution,
    )
