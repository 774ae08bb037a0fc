"""Reads the rows behind the KPIs and lets `formulas` turn them into figures."""

from collections import Counter as Tally
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from app.annotations.models import LabelValue
from app.core.clock import now
from app.core.errors import Invalid
from app.images.models import Arm
from app.kpis import formulas, repository
from app.kpis.formulas import SuggestionCounts, TimedImage, TimeSaved
from app.kpis.repository import DecisionCount, FinishedImage, Period
from app.kpis.schemas import (
    AgreementOut,
    BucketOut,
    DetectionGainOut,
    GainOut,
    KpiQuery,
    KpisOut,
    LabelGainOut,
    LabelQualityOut,
    QueueOut,
    ShareOut,
    TimeSavedOut,
)
from app.projects import service as projects
from app.projects.models import Counter, Label, Project
from app.reviews.models import Verdict

DEFAULT_DAYS = 30
# A day more, thirty days less, or the same moment in another zone: all must remain a date.
YEARS = range(2, 9999)
BLIND_ARMS = (Arm.CONTROL, Arm.AUDIT)


def compute(session: Session, project: Project, query: KpiQuery) -> KpisOut:
    """Every KPI of a project in the period asked for."""
    period = period_of(project, query)
    images = list(repository.finished_images(session, period))
    decisions = repository.decision_counts(session, period)
    labels = projects.list_labels(session, project.id, include_archived=True)
    seconds = [image.seconds for image in images if image.seconds is not None]
    saved = formulas.time_saved(
        timed(images, Arm.CONTROL),
        timed(images, Arm.ASSISTED),
        auto_accepted_images=repository.cleared_images(session, period),
        audit_seconds=repository.audit_ms(session, period) / 1000,
    )
    return KpisOut(
        simulated=project.simulated,
        start=period.start,
        end=period.end,
        time_zone=project.time_zone,
        bucket=query.bucket,
        time_saved=_in_money(saved, project),
        acceptance_rate=acceptance(decisions),
        finished_images=len(images),
        images_per_hour=formulas.throughput(len(seconds), sum(seconds)),
        active_hours=repository.active_ms(session, period) / 3_600_000,
        labels=[_quality(label, decisions) for label in labels],
        detection_gain=_detection_gain(session, project, labels),
        agreement=_agreement(session, period),
        queue=_queue(session, project),
        series=_series(images, decisions),
    )


def period_of(project: Project, query: KpiQuery) -> Period:
    """The moments that the query's days mean in the project's time zone."""
    if any(day is not None and day.year not in YEARS for day in (query.start, query.end)):
        raise Invalid(f"`from` and `to` must lie in the years {YEARS[0]} to {YEARS[-1]}.")
    zone = ZoneInfo(project.time_zone)
    end = query.end if query.end is not None else now().astimezone(zone).date()
    until = _moment(end, zone, days=1)
    start = query.start
    if start is None:
        start = (until - timedelta(days=DEFAULT_DAYS)).astimezone(zone)
    since = _moment(start, zone)
    if since >= until:
        raise Invalid("`from` must be before `to`.")
    return Period(project.id, since, until, query.bucket, project.time_zone)


def _moment(day: date | datetime, zone: ZoneInfo, *, days: int = 0) -> datetime:
    if isinstance(day, datetime):
        return day if day.tzinfo else day.replace(tzinfo=zone)
    return datetime.combine(day + timedelta(days=days), time(), zone)


def timed(images: Iterable[FinishedImage], arm: Arm) -> list[TimedImage]:
    """The images of one arm whose every step was timed."""
    return [
        TimedImage(str(image.reviewer_id), image.week.date().isoformat(), image.seconds)
        for image in images
        if image.arm == arm and image.seconds is not None
    ]


def acceptance(decisions: Iterable[DecisionCount]) -> ShareOut | None:
    """The share of shown suggestions that people accepted."""
    shown = Tally[str]()
    for row in decisions:
        if row.was_shown:
            shown[row.verdict] += row.count
    accepted, rejected = shown[Verdict.ACCEPT], shown[Verdict.REJECT]
    return _share(formulas.share(accepted, accepted + rejected))


def suggestion_counts(decisions: Iterable[DecisionCount]) -> SuggestionCounts:
    """How suggestions and statements meet in these decisions."""
    met = Tally[tuple[str | None, str]]()
    for row in decisions:
        met[row.suggested_value, row.value] += row.count
    present, absent = LabelValue.PRESENT, LabelValue.ABSENT
    return SuggestionCounts(
        present_right=met[present, present],
        present_wrong=met[present, absent],
        absent_right=met[absent, absent],
        absent_wrong=met[absent, present],
        present=sum(count for (_, value), count in met.items() if value == present),
    )


def _quality(label: Label, decisions: Iterable[DecisionCount]) -> LabelQualityOut:
    own = [row for row in decisions if row.label_id == label.id]
    blind = formulas.suggestion_quality(
        suggestion_counts(row for row in own if row.arm in BLIND_ARMS and not row.was_shown)
    )
    decided = formulas.suggestion_quality(suggestion_counts(own))
    return LabelQualityOut(
        label=label.key,
        acceptance_rate=acceptance(own),
        precision=_share(blind.precision),
        recall=_share(blind.recall),
        absent_precision=_share(blind.absent_precision),
        decided_precision=_share(decided.precision),
    )


def _share(share: formulas.Share | None) -> ShareOut | None:
    return ShareOut.model_validate(share) if share else None


def _in_money(saved: TimeSaved | None, project: Project) -> TimeSavedOut | None:
    if saved is None:
        return None

    def hours(seconds: float | None) -> float | None:
        return None if seconds is None else seconds / 3600

    def money(seconds: float | None) -> float | None:
        return None if seconds is None else seconds / 3600 * float(project.hourly_cost)

    return TimeSavedOut(
        hours=saved.seconds / 3600,
        low_hours=hours(saved.low),
        high_hours=hours(saved.high),
        money=saved.seconds / 3600 * float(project.hourly_cost),
        low_money=money(saved.low),
        high_money=money(saved.high),
        currency=project.currency,
        control_mean_seconds=saved.control_mean,
        assisted_mean_seconds=saved.assisted_mean,
        control_images=saved.control_images,
        assisted_images=saved.assisted_images,
        auto_accepted_images=saved.auto_accepted_images,
        audit_seconds=saved.audit_seconds,
    )


def _detection_gain(
    session: Session, project: Project, labels: Sequence[Label]
) -> DetectionGainOut:
    first, live = repository.first_and_live(session, project.id)
    before, after = (version.metrics if version else {} for version in (first, live))

    def gain(*path: str) -> GainOut:
        return GainOut.model_validate(formulas.gain(figure(before, *path), figure(after, *path)))

    return DetectionGainOut(
        first_version=first.number if first else None,
        live_version=live.number if live else None,
        map=gain("map"),
        labels=[
            LabelGainOut(label=x.key, ap=gain("ap", str(x.id)), recall=gain("recall", str(x.id)))
            for x in labels
        ],
    )


def figure(metrics: Mapping[str, Any], *path: str) -> float | None:
    """A figure of a model's metrics: a number, or the `value` of one with an interval."""
    found: Any = metrics
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    if isinstance(found, Mapping):
        found = found.get("value")
    return float(found) if isinstance(found, int | float) else None


def _agreement(session: Session, period: Period) -> AgreementOut | None:
    found = formulas.agreement(values for _, values in repository.opinions(session, period))
    return AgreementOut(alpha=found[0], pairs=found[1]) if found else None


def _queue(session: Session, project: Project) -> QueueOut:
    oldest, median = repository.queue_ages(session, project.id)

    def age(moment: datetime | None) -> float | None:
        return (now() - moment).total_seconds() if moment else None

    waiting = projects.counters(session, project.id).get(Counter.PENDING_PSEUDO_LABELS, 0)
    return QueueOut(
        pending_pseudo_labels=waiting, oldest_seconds=age(oldest), median_seconds=age(median)
    )


def _series(images: Sequence[FinishedImage], decisions: Sequence[DecisionCount]) -> list[BucketOut]:
    control = timed(images, Arm.CONTROL)
    buckets = sorted({row.bucket for row in images} | {row.bucket for row in decisions})
    return [
        _bucket(
            start,
            control,
            [image for image in images if image.bucket == start],
            [row for row in decisions if row.bucket == start],
        )
        for start in buckets
    ]


def _bucket(
    start: datetime,
    control: Sequence[TimedImage],
    images: Sequence[FinishedImage],
    decisions: Sequence[DecisionCount],
) -> BucketOut:
    own_control, assisted = timed(images, Arm.CONTROL), timed(images, Arm.ASSISTED)
    verdicts = Tally[str]()
    for row in decisions:
        verdicts[row.verdict] += row.count
    accepted = acceptance(decisions)
    saved = formulas.time_saved(control, assisted, resamples=0)
    return BucketOut(
        start=start.date(),
        finished_images=len(images),
        accepted=verdicts[Verdict.ACCEPT],
        rejected=verdicts[Verdict.REJECT],
        added=verdicts[Verdict.ADD],
        acceptance_rate=accepted.value if accepted else None,
        control_images=len(own_control),
        control_mean_seconds=formulas.mean([x.seconds for x in own_control]),
        assisted_images=len(assisted),
        assisted_mean_seconds=formulas.mean([x.seconds for x in assisted]),
        saved_hours=saved.seconds / 3600 if saved else None,
    )
