"""KPIs as a table, one figure a row, for spreadsheets."""

import csv
import io
from collections.abc import Iterator

from app.kpis.schemas import KpisOut, ShareOut

COLUMNS = (
    "figure", "label", "from", "to", "value", "low", "high", "count", "unit", "simulated",
)  # fmt: skip
SERIES = {
    "finished_images": "images",
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
    saved = kpis.time_saved
    if saved is not None:
        count = saved.assisted_images
        hours = (saved.hours, saved.low_hours, saved.high_hours)
        money = (saved.money, saved.low_money, saved.high_money)
        yield "time_saved", None, *hours, count, "h"
        yield "time_saved", None, *money, count, saved.currency
        yield (
            "control_mean",
            None,
            saved.control_mean_seconds,
            None,
            None,
            saved.control_images,
            "s",
        )
        yield "assisted_mean", None, saved.assisted_mean_seconds, None, None, count, "s"
    yield _share("acceptance_rate", None, kpis.acceptance_rate)
    yield "finished_images", None, kpis.finished_images, None, None, None, "images"
    yield "images_per_hour", None, kpis.images_per_hour, None, None, None, "images/h"
    yield "active_time", None, kpis.active_hours, None, None, None, "h"
    yield "queue_oldest", None, kpis.queue.oldest_seconds, None, None, None, "s"
    if kpis.agreement is not None:
        yield "agreement", None, kpis.agreement.alpha, None, None, kpis.agreement.pairs, "alpha"
    for label in kpis.labels:
        for name in LABEL_SHARES:
            yield _share(name, label.label, getattr(label, name))
    for gain in kpis.detection_gain.labels:
        yield "ap_gain", gain.label, gain.ap.gain, None, None, None, "AP"
        yield "recall_gain", gain.label, gain.recall.gain, None, None, None, "recall"


def _share(name: str, label: str | None, share: ShareOut | None) -> Row:
    if share is None:
        return name, label, None, None, None, 0, "share"
    return name, label, share.value, share.low, share.high, share.count, "share"
