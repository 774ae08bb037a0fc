"""KPIs as a table, one figure a row, for spreadsheets."""

import csv
import io
from collections.abc import Iterator

from app.kpis.schemas import GainOut, KpisOut, ShareOut, TimeSavedOut

COLUMNS = (
    "figure", "label", "from", "to", "value", "low", "high", "count", "unit", "simulated",
)  # fmt: skip
SERIES = {
    "finished_images": "images",
    "accepted": "decisions",
    "rejected": "decisions",
    "added": "decisions",
    "acceptance_rate": "share",
    "control_mean_seconds": "s",
    "assisted_mean_seconds": "s",
    "saved_hours": "h",
}
LABEL_SHARES = (
    "acceptance_rate", "precision", "recall", "absent_precision", "decided_precision",
)  # fmt: skip
Row = tuple[object, ...]


def to_csv(kpis: KpisOut) -> str:
    """Comma-separated, with a header; an unknown figure is an empty cell."""
    sheet = io.StringIO()
    writer = csv.writer(sheet)
    writer.writerow(COLUMNS)
    span = (kpis.start.isoformat(), kpis.end.isoformat())
    for figure, label, value, low, high, count, unit in _figures(kpis):
        writer.writerow((figure, label, *span, value, low, high, count, unit, kpis.simulated))
    for bucket in kpis.series:
        for name, unit in SERIES.items():
            value = getattr(bucket, name)
            writer.writerow((name, None, bucket.start, None, value, None, None, None, unit,
                             kpis.simulated))  # fmt: skip
    return sheet.getvalue()


def _figures(kpis: KpisOut) -> Iterator[Row]:
    if kpis.time_saved is not None:
        yield from _time_saved(kpis.time_saved)
    yield _share("acceptance_rate", None, kpis.acceptance_rate)
    yield _plain("finished_images", kpis.finished_images, "images")
    yield _plain("images_per_hour", kpis.images_per_hour, "images/h")
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
    for part in ("first", "live", "gain"):
        yield _plain(f"{name}_{part}", getattr(gain, part), unit, label=label)


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
