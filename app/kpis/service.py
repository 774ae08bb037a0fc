"""Reads the rows behind the KPIs and lets `formulas` turn them into figures."""

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy.orm import Session

from app.core.clock import now
from app.images.models import Arm
from app.kpis import formulas, repository
from app.kpis.evidence import Evidence, acceptance, suggestion_counts
from app.kpis.formulas import Control, Estimate, TimeSaved
from app.kpis.reading import Reading, RowReading
from app.kpis.repository import DecisionCount, ModelFigures, Period
from app.kpis.schemas import (
    AgreementOut,
    BucketOut,
    DetectionGainOut,
    Figure,
    GainOut,
    KpisOut,
    LabelGainOut,
    LabelQualityOut,
    LineOut,
    QueueOut,
    ShareOut,
    TimeSavedOut,
)
from app.projects import service as projects
from app.projects.models import Counter, Label, Project
from app.reviews.models import Verdict

BLIND_ARMS = (Arm.CONTROL, Arm.AUDIT)


def compute(reading: Reading) -> KpisOut:
    """Every KPI of a project in the period asked for."""
    session, project, query = reading.session, reading.project, reading.query
    period, found = reading.period, reading.evidence
    control = found.control
    labels = reading.labels
    pace = formulas.throughput(found.seconds())
    return KpisOut(
        simulated=project.simulated,
        start=period.start,
        end=period.end,
        time_zone=project.time_zone,
        bucket=query.bucket,
        line=query.line,
        time_saved=_in_money(found.time_saved(control), project),
        acceptance_rate=_share(acceptance(found.decisions)),
        finished_images=found.finished_images,
        images_per_hour=pace.value if pace else None,
        images_per_hour_low=pace.low if pace else None,
        images_per_hour_high=pace.high if pace else None,
        active_hours=found.active_hours,
        labels=_qualities(labels, found.decisions),
        detection_gain=_detection_gain(session, project, labels),
        agreement=_agreement(session, period, found),
        queue=_queue(session, period),
        lines=_lines(found, project),
        series=[
            _bucket(start, part, control)
            for start, part in sorted(found.by_bucket(query.bucket).items())
        ],
    )


def figure_of(reading: RowReading) -> float | None:
    """The figure whose rows are asked for, alone, in the unit that the table has it in."""
    query = reading.query
    if query.figure in FIGURES:
        return FIGURES[query.figure](reading) if query.label is None else None
    shares: list[ShareOut | None] = [
        getattr(quality, query.figure)
        for quality in _qualities(reading.labels, reading.evidence.decisions)
        if query.label in (None, quality.label)
    ]
    known = [share for share in shares if share is not None]
    count = sum(share.count for share in known)
    return sum(share.value * share.count for share in known) / count if count else None


def _saved_hours(reading: Reading) -> float | None:
    saved = reading.evidence.time_saved(reading.evidence.control)
    return hours(saved.seconds) if saved else None


def _pace(reading: Reading) -> float | None:
    pace = formulas.throughput(reading.evidence.seconds())
    return pace.value if pace else None


def _alpha(reading: Reading) -> float | None:
    found = _agreement(reading.session, reading.period, reading.evidence)
    return found.alpha if found else None


# Those that are not of labels.
FIGURES: dict[Figure, Callable[[Reading], float | None]] = {
    Figure.TIME_SAVED: _saved_hours,
    Figure.FINISHED_IMAGES: lambda reading: reading.evidence.finished_images,
    Figure.IMAGES_PER_HOUR: _pace,
    Figure.ACTIVE_TIME: lambda reading: reading.evidence.active_hours,
    Figure.QUEUE: lambda reading: _queue(reading.session, reading.period).pending_pseudo_labels,
    Figure.AGREEMENT: _alpha,
}


def list_lines(session: Session, project: Project) -> list[str]:
    """The lines that photos of a project name."""
    return repository.lines(session, project.id)


def _qualities(
    labels: Iterable[Label], decisions: Iterable[DecisionCount]
) -> list[LabelQualityOut]:
    own: dict[Any, list[DecisionCount]] = {label.id: [] for label in labels}
    for row in decisions:
        own[row.label_id].append(row)
    return [_quality(label, own[label.id]) for label in labels]


def _quality(label: Label, decisions: Sequence[DecisionCount]) -> LabelQualityOut:
    blind = formulas.suggestion_quality(
        suggestion_counts(x for x in decisions if x.arm in BLIND_ARMS and not x.was_shown)
    )
    decided = formulas.suggestion_quality(suggestion_counts(decisions))
    return LabelQualityOut(
        label=label.key,
        acceptance_rate=_share(acceptance(decisions)),
        precision=_share(blind.precision),
        recall=_share(blind.recall),
        absent_precision=_share(blind.absent_precision),
        decided_precision=_share(decided.precision),
    )


def _share(share: formulas.Share | None) -> ShareOut | None:
    return ShareOut.model_validate(share) if share else None


def hours(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 3600


def _in_money(saved: TimeSaved | None, project: Project) -> TimeSavedOut | None:
    if saved is None:
        return None

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
    is_one = first is not None and live is not None and first.number == live.number

    def gain(*path: str) -> GainOut:
        known = formulas.gain(_estimate(first, *path), _estimate(live, *path))
        answer = GainOut.model_validate(known)
        # A model against itself is no measurement.
        return answer.model_copy(update={"low": None, "high": None}) if is_one else answer

    return DetectionGainOut(
        first_version=first.number if first else None,
        live_version=live.number if live else None,
        map=gain("map"),
        labels=[
            LabelGainOut(label=x.key, ap=gain("ap", str(x.id)), recall=gain("recall", str(x.id)))
            for x in labels
        ],
    )


def _estimate(model: ModelFigures | None, *path: str) -> Estimate | None:
    """A figure of a model's metrics: a number, or one with an interval."""
    found: Any = model.metrics if model else {}
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    if isinstance(found, int | float):
        return Estimate(float(found))
    if not isinstance(found, Mapping) or not isinstance(found.get("value"), int | float):
        return None
    bounds = [float(found[name]) for name in ("low", "high") if found.get(name) is not None]
    return Estimate(float(found["value"]), (bounds[0], bounds[1]) if len(bounds) == 2 else None)


def _agreement(session: Session, period: Period, found: Evidence) -> AgreementOut | None:
    images = {row.image_id for row in found.restated}
    known = formulas.agreement(repository.opinions(session, period, images))
    return AgreementOut(alpha=known[0], pairs=known[1]) if known else None


def _queue(session: Session, period: Period) -> QueueOut:
    counters = projects.counters(session, period.project_id)
    waiting = counters.get(Counter.PENDING_PSEUDO_LABELS, 0)
    ages = repository.queue_ages(session, period, waiting)

    def age(moment: datetime | None) -> float | None:
        return (now() - moment).total_seconds() if moment else None

    return QueueOut(
        pending_pseudo_labels=ages.pending,
        oldest_seconds=age(ages.oldest),
        median_seconds=age(ages.median),
    )


def _lines(found: Evidence, project: Project) -> list[LineOut]:
    parts = found.by_line()
    named = sorted(line for line in parts if line is not None)
    if not named:
        return []
    nameless = [None] if None in parts else []
    return [_line(line, parts[line], project) for line in (*named, *nameless)]


def _line(line: str | None, part: Evidence, project: Project) -> LineOut:
    pace = formulas.throughput(part.seconds())
    return LineOut(
        line=line,
        finished_images=part.finished_images,
        images_per_hour=pace.value if pace else None,
        acceptance_rate=_share(acceptance(part.decisions)),
        time_saved=_in_money(part.time_saved(part.control), project),
    )


def _bucket(start: date, part: Evidence, control: Control) -> BucketOut:
    verdicts = Tally[str]()
    for row in part.decisions:
        verdicts[row.verdict] += row.count
    accepted, pace = acceptance(part.decisions), formulas.throughput(part.seconds())
    saved = part.time_saved(control)
    without, assisted = part.seconds(Arm.CONTROL), part.seconds(Arm.ASSISTED)
    return BucketOut(
        start=start,
        finished_images=part.finished_images,
        accepted=verdicts[Verdict.ACCEPT],
        rejected=verdicts[Verdict.REJECT],
        added=verdicts[Verdict.ADD],
        acceptance_rate=accepted.value if accepted else None,
        acceptance_low=accepted.low if accepted else None,
        acceptance_high=accepted.high if accepted else None,
        images_per_hour=pace.value if pace else None,
        images_per_hour_low=pace.low if pace else None,
        images_per_hour_high=pace.high if pace else None,
        control_images=len(without),
        control_mean_seconds=formulas.mean(without),
        assisted_images=len(assisted),
        assisted_mean_seconds=formulas.mean(assisted),
        saved_hours=hours(saved.seconds) if saved else None,
        saved_low_hours=hours(saved.low) if saved else None,
        saved_high_hours=hours(saved.high) if saved else None,
    )
