"""KPIs as a table, one figure a row, for spreadsheets."""

import csv
import io
from collections.abc import Iterable, Iterator

from app.kpis.schemas import BucketOut, GainOut, KpiRowOut, KpisOut, LineOut, ShareOut, TimeSavedOut

COLUMNS = (
    "figure", "label", "line", "from", "to", "value", "low", "high", "count", "unit", "simulated",
)  # fmt: skip
# Of a bucket: the figure, its unit, and what bounds it.
SERIES = (
    ("finished_images", "images", "", ""),
    ("images_per_hour", "images/h", "images_per_hour_low", "images_per_hour_high"),
    ("accepted", "decisions", "", ""),
    ("rejected", "decisions", "", ""),
    ("added", "decisions", "", ""),
    ("acceptance_rate", "share", "acceptance_low", "acceptance_high"),
    ("control_mean_seconds", "s", "", ""),
    ("assisted_mean_seconds", "s", "", ""),
    ("saved_hours", "h", "saved_low_hours", "saved_high_hours"),
)
LABEL_SHARES = (
    "acceptance_rate", "precision", "recall", "absent_precision", "decided_precision",
)  # fmt: skip
# A spreadsheet takes what begins with one of these for a formula.
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
Row = tuple[object, ...]


def to_csv(kpis: KpisOut) -> str:
    """Comma-separated, with a header; an unknown figure is an empty cell."""
    sheet = io.StringIO()
    writer = csv.writer(sheet)
    writer.writerow(COLUMNS)
    span = (kpis.start.isoformat(), kpis.end.isoformat())
    line = _plainly(kpis.line)
    for figure, label, *values in _figures(kpis):
        writer.writerow((figure, label, line, *span, *values, kpis.simulated))
    for part in kpis.lines:
        for figure, _, *values in _line(part):
            row = (f"line_{figure}", None, _plainly(part.line), *span, *values, kpis.simulated)
            writer.writerow(row)
    for bucket in kpis.series:
        for figure, *values in _bucket(bucket):
            writer.writerow((figure, None, line, bucket.start, None, *values, kpis.simulated))
    return sheet.getvalue()


def rows_to_csv(rows: Iterable[KpiRowOut]) -> str:
    """Comma-separated, with a header, times in ISO 8601."""
    sheet = io.StringIO()
    writer = csv.DictWriter(sheet, list(KpiRowOut.model_fields))
    writer.writeheader()
    for row in rows:
        cells = row.model_dump(mode="json")
        texts = {name: _plainly(cells[name]) for name in ("file_name", "line", "reviewer")}
        writer.writerow(cells | texts)
    return sheet.getvalue()


def _plainly(words: str | None) -> str | None:
    """What people wrote, so that no spreadsheet computes it."""
    return f"'{words}" if words and words.startswith(FORMULA_SIGNS) else words


def _figures(kpis: KpisOut) -> Iterator[Row]:
    if kpis.time_saved is not None:
        yield from _time_saved(kpis.time_saved)
    yield _share("acceptance_rate", None, kpis.acceptance_rate)
    yield _plain("finished_images", kpis.finished_images, "images")
    pace = (kpis.images_per_hour, kpis.images_per_hour_low, kpis.images_per_hour_high)
    yield "images_per_hour", None, *pace, None, "images/h"
    yield _plain("active_time", kpis.active_hours, "h")
    yield _plain("queue_pending", kpis.queue.pending_pseudo_labels, "pseudo-labels")
    yield _plain("queue_oldest", kpis.queue.oldest_seconds, "s")
    yield _plain("queue_median", kpis.queue.median_seconds, "s")
    if kpis.agreement is not None:
        yield _plain("agreement", kpis.agreement.alpha, "alpha", count=kpis.agreement.pairs)
    for label in kpis.labels:
        for name in LABEL_SHARES:
            yield _share(name, label.label, getattr(label, name))
    yield from _gain("map", None, kpis.detection_gain.map, "mAP")
    for gain in kpis.detection_gain.labels:
        yield from _gain("ap", gain.label, gain.ap, "AP")
        yield from _gain("recall", gain.label, gain.recall, "recall")


def _line(part: LineOut) -> Iterator[Row]:
    yield _plain("finished_images", part.finished_images, "images")
    yield _plain("images_per_hour", part.images_per_hour, "images/h")
    yield _share("acceptance_rate", None, part.acceptance_rate)
    if part.time_saved is not None:
        yield from _time_saved(part.time_saved)


def _bucket(bucket: BucketOut) -> Iterator[Row]:
    for figure, unit, low, high in SERIES:
        bounds = (getattr(bucket, name) if name else None for name in (low, high))
        yield figure, getattr(bucket, figure), *bounds, None, unit


def _time_saved(saved: TimeSavedOut) -> Iterator[Row]:
    count = saved.assisted_images
    hours = (saved.hours, saved.low_hours, saved.high_hours)
    money = (saved.money, saved.low_money, saved.high_money)
    yield "time_saved", None, *hours, count, "h"
    yield "time_saved", None, *money, count, saved.currency
    yield _plain("control_mean", saved.control_mean_seconds, "s", count=saved.control_images)
    yield _plain("assisted_mean", saved.assisted_mean_seconds, "s", count=count)
    yield _plain("auto_accepted_images", saved.auto_accepted_images, "images")
    yield _plain("audit_time", saved.audit_seconds, "s")


def _gain(name: str, label: str | None, gain: GainOut, unit: str) -> Iterator[Row]:
    yield _plain(f"{name}_first", gain.first, unit, label=label)
    yield _plain(f"{name}_live", gain.live, unit, label=label)
    yield f"{name}_gain", label, gain.gain, gain.low, gain.high, None, unit


def _plain(
    name: str,
    value: float | None,
    unit: str,
    *,
    label: str | None = None,
    count: int | None = None,
) -> Row:
    return name, label, value, None, None, count, unit


def _share(name: str, label: str | None, share: ShareOut | None) -> Row:
    if share is None:
        return name, label, None, None, None, 0, "share"
    return name, label, share.value, share.low, share.high, share.count, "share"
