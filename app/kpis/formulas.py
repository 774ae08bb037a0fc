"""The KPIs' mathematics: pure functions over plain numbers. Definitions: docs/explanation/kpis.md.

No database, no clock, no settings. Times are in seconds; every estimate that rests on a sample
carries its 95 % interval and the number of rows behind it.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Z_95 = 1.959963984540054
MIN_CONTROL = 5
RESAMPLES = 1000
_CHUNK = 4_000_000
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TimedImage:
    """The active time that one reviewer spent on one image until every label was decided."""

    reviewer: Hashable
    week: Hashable
    seconds: float


@dataclass(frozen=True)
class TimeSaved:
    """Labeling time saved, with what it rests on. `low` and `high` bound it with 95 %."""

    seconds: float
    low: float | None
    high: float | None
    control_mean: float
    assisted_mean: float | None
    control_images: int
    assisted_images: int
    auto_accepted_images: int
    audit_seconds: float


@dataclass(frozen=True)
class Share:
    """A proportion of `count` trials with its Wilson 95 % interval."""

    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class SuggestionCounts:
    """How suggestions about one label compare with what people stated; unsure is left out.

    Counts of (suggested, stated): `*_right` agree. `present` is every statement of presence,
    whether the model suggested anything or not.
    """

    present_right: int = 0
    present_wrong: int = 0
    absent_right: int = 0
    absent_wrong: int = 0
    present: int = 0


@dataclass(frozen=True)
class SuggestionQuality:
    precision: Share | None
    recall: Share | None
    absent_precision: Share | None


@dataclass(frozen=True)
class Gain:
    """One figure of one label: the first model's, the live model's, the difference."""

    first: float | None
    live: float | None
    gain: float | None


def time_saved(
    control: Sequence[TimedImage],
    assisted: Sequence[TimedImage],
    *,
    auto_accepted_images: int = 0,
    audit_seconds: float = 0.0,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> TimeSaved | None:
    """Sum over assisted images of (control mean - their time), plus auto-accepted images times
    the control mean, minus the time of audits. None without a single control image.

    The control mean is that of the same reviewer and week where it rests on at least
    `MIN_CONTROL` images, else of the same reviewer, else of everybody. The interval is the
    percentile bootstrap (Efron and Tibshirani, 1993, chapter 13), resampling images within each
    group, control and assisted apart.
    """
    if not control:
        return None
    references = _references(control)
    own = _assisted_by_reference(references, assisted)
    weights: dict[tuple[Hashable, ...], int] = {_EVERYBODY: auto_accepted_images}
    for key, seconds in own.items():
        weights[key] = weights.get(key, 0) + len(seconds)
    saved = -float(audit_seconds)
    saved += sum(weight * float(references[key].mean()) for key, weight in weights.items())
    saved -= sum(float(seconds.sum()) for seconds in own.values())
    low, high = None, None
    if resamples and len(control) > 1:
        samples = np.full(resamples, -float(audit_seconds))
        generator = np.random.default_rng(seed)
        # One draw per reference, whatever it is for: what shares control times errs together.
        for key, weight in sorted(weights.items(), key=repr):
            samples += weight * _resampled_means(references[key], resamples, generator)
        for _, seconds in sorted(own.items(), key=lambda item: repr(item[0])):
            samples -= len(seconds) * _resampled_means(seconds, resamples, generator)
        low, high = (float(bound) for bound in np.quantile(samples, (0.025, 0.975)))
    return TimeSaved(
        seconds=saved,
        low=low,
        high=high,
        control_mean=float(references[_EVERYBODY].mean()),
        assisted_mean=mean([image.seconds for image in assisted]),
        control_images=len(control),
        assisted_images=len(assisted),
        auto_accepted_images=auto_accepted_images,
        audit_seconds=audit_seconds,
    )


_EVERYBODY: tuple[Hashable, ...] = ()


def _references(control: Sequence[TimedImage]) -> dict[tuple[Hashable, ...], Floats]:
    """Control times per (reviewer, week), per (reviewer,) and of everybody."""
    groups: dict[tuple[Hashable, ...], list[float]] = defaultdict(list)
    for image in control:
        for key in ((image.reviewer, image.week), (image.reviewer,), _EVERYBODY):
            groups[key].append(image.seconds)
    return {key: np.array(seconds) for key, seconds in groups.items()}


def _assisted_by_reference(
    references: Mapping[tuple[Hashable, ...], Floats], assisted: Sequence[TimedImage]
) -> dict[tuple[Hashable, ...], Floats]:
    """Assisted times, grouped by the control times that they are compared with."""
    groups: dict[tuple[Hashable, ...], list[float]] = defaultdict(list)
    for image in assisted:
        keys = ((image.reviewer, image.week), (image.reviewer,))
        enough = (k for k in keys if k in references and len(references[k]) >= MIN_CONTROL)
        groups[next(enough, _EVERYBODY)].append(image.seconds)
    return {key: np.array(seconds) for key, seconds in groups.items()}


def _resampled_means(values: Floats, resamples: int, generator: np.random.Generator) -> Floats:
    """Means of `resamples` bootstrap samples of `values`: shape (resamples,)."""
    means = np.empty(resamples)
    rows = max(1, _CHUNK // len(values))
    for start in range(0, resamples, rows):
        size = (min(rows, resamples - start), len(values))
        means[start : start + rows] = values[generator.integers(len(values), size=size)].mean(
            axis=1
        )
    return means


def share(successes: int, trials: int) -> Share | None:
    """A proportion with its score interval (Wilson, 1927); None of nothing."""
    if trials == 0:
        return None
    p = successes / trials
    denominator = 1 + Z_95**2 / trials
    centre = (p + Z_95**2 / (2 * trials)) / denominator
    half = Z_95 * math.sqrt(p * (1 - p) / trials + Z_95**2 / (4 * trials**2)) / denominator
    return Share(p, max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half)), trials)


def suggestion_quality(counts: SuggestionCounts) -> SuggestionQuality:
    """Precision and recall of suggested presence, precision of suggested absence.

    A label that people found and the model did not suggest counts against the recall.
    """
    return SuggestionQuality(
        precision=share(counts.present_right, counts.present_right + counts.present_wrong),
        recall=share(counts.present_right, counts.present),
        absent_precision=share(counts.absent_right, counts.absent_right + counts.absent_wrong),
    )


def throughput(images: int, active_seconds: float) -> float | None:
    """Images finished per hour of active time."""
    return images * 3600 / active_seconds if active_seconds > 0 else None


def agreement(units: Iterable[Sequence[Hashable]]) -> tuple[float, int] | None:
    """Krippendorff's alpha for nominal values, and how many units have two opinions or more.

    A unit is one (image, label): the values that different people stated. 1 is agreement, 0 what
    chance would give (Krippendorff, Content Analysis, 4th edition, chapter 12). None when no
    unit has two opinions.
    """
    pairable = [unit for unit in units if len(unit) > 1]
    if not pairable:
        return None
    totals: dict[Hashable, float] = defaultdict(float)
    disagreements = 0.0
    for unit in pairable:
        counts = {value: unit.count(value) for value in set(unit)}
        for value, count in counts.items():
            totals[value] += count
            disagreements += count * (len(unit) - count) / (len(unit) - 1)
    n = sum(totals.values())
    expected = sum(count * (n - count) for count in totals.values()) / (n - 1)
    return (1 - disagreements / expected if expected else 1.0), len(pairable)


def gain(first: float | None, live: float | None) -> Gain:
    """What the live model is better by; unknown when either figure is."""
    known = first is not None and live is not None
    return Gain(
        first, live, live - first if known and live is not None and first is not None else None
    )


def mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
