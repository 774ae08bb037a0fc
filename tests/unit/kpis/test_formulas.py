"""The KPIs' mathematics against values worked out by hand, examples from books, and properties."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from app.kpis import formulas
from app.kpis.formulas import (
    MIN_CONTROL,
    Control,
    Estimate,
    Gain,
    Share,
    SuggestionCounts,
    Times,
)

SECONDS = st.floats(0.1, 600)
TIMES = st.lists(SECONDS, min_size=2, max_size=30)


def images(*seconds, reviewer="ann", week="2026-11-02"):
    return [Times(reviewer, week, seconds)]


def time_saved(control, assisted, **more):
    return formulas.time_saved(Control(control), assisted, **more)


def drawn(control, assisted, *, auto=0, resamples=4000):
    """The interval as the book has it: of one group, by drawing."""
    rng = np.random.default_rng(0)

    def means(values):
        return rng.choice(values, (resamples, len(values))).mean(axis=1)

    gained = (len(assisted) + auto) * means(control) - len(assisted) * means(assisted)
    return np.quantile(gained, (0.025, 0.975))


def test_time_saved_by_hand():
    saved = time_saved(images(10, 20), images(4, 6), auto_accepted_images=3, audit_seconds=7)
    assert saved.seconds == (15 - 4) + (15 - 6) + 3 * 15 - 7 == 58
    assert (saved.control_mean, saved.assisted_mean) == (15, 5)
    assert (saved.control_images, saved.assisted_images, saved.auto_accepted_images) == (2, 2, 3)
    assert saved.audit_seconds == 7
    assert saved.low < 58 < saved.high


def test_nothing_is_known_without_a_control_image():
    assert time_saved([], images(4, 6), auto_accepted_images=3) is None


def test_one_control_image_gives_a_figure_but_no_interval():
    saved = time_saved(images(10), images(4))
    assert (saved.seconds, saved.low, saved.high) == (6, None, None)


def test_suggestions_that_slow_people_down_show_as_a_loss():
    saved = time_saved(images(5, 5), images(9, 9, 9))
    assert saved.seconds == -12


def test_without_assisted_images_nothing_is_saved_yet():
    saved = time_saved(images(5, 7), [])
    assert (saved.seconds, saved.assisted_mean, saved.assisted_images) == (0, None, 0)
    assert (saved.low, saved.high) == (0, 0)


def test_a_slow_reviewer_is_compared_with_themselves():
    """Else a slow reviewer's assisted images would look like no saving at all."""
    control = images(*[10] * 5) + images(*[30] * 5, reviewer="bob")
    saved = time_saved(control, images(20, reviewer="bob"))
    assert saved.control_mean == 20
    assert saved.seconds == 30 - 20


def test_the_reference_is_the_narrowest_that_rests_on_enough():
    first, second = "2026-11-02", "2026-11-09"
    control = (
        images(*[10] * MIN_CONTROL, week=first)
        + images(*[40] * (MIN_CONTROL - 1), week=second)
        + images(*[100] * MIN_CONTROL, reviewer="bob", week=first)
    )
    own = (10 * MIN_CONTROL + 40 * (MIN_CONTROL - 1)) / (2 * MIN_CONTROL - 1)
    everybody = np.mean([second for times in control for second in times.seconds])

    def saving(**assisted):
        saved = time_saved(control, images(1, **assisted))
        return saved.seconds + 1

    assert saving(week=first) == pytest.approx(10)
    assert saving(week=second) == pytest.approx(own)
    assert saving(reviewer="bob", week=second) == pytest.approx(100)
    assert saving(reviewer="cat") == pytest.approx(everybody)


def test_the_interval_is_that_of_the_bootstrap():
    """Times are skewed to the right, as people's are; the groups are as small as real ones."""
    rng = np.random.default_rng(7)
    for few, many in ((8, 40), (30, 200), (60, 15)):
        control, assisted = rng.lognormal(2.3, 0.7, few), rng.lognormal(1.2, 0.6, many)
        found = time_saved(images(*control), images(*assisted), auto_accepted_images=25)
        low, high = drawn(control, assisted, auto=25)
        width = high - low
        assert found.low == pytest.approx(low, abs=0.04 * width)
        assert found.high == pytest.approx(high, abs=0.04 * width)


def test_the_interval_leans_to_the_side_of_rare_long_times():
    """A symmetric interval would claim more than the photos that took long allow."""
    found = time_saved(images(*[5] * 19, 60), images(*[1] * 50))
    assert found.high - found.seconds > 1.2 * (found.seconds - found.low)


def test_groups_of_one_reviewer_and_week_count_as_one():
    """Lines and buckets split the rows; what is compared with what does not change."""
    whole = time_saved(images(5, 9, 13), images(2, 3, 7))
    parts = time_saved(images(5) + images(9, 13), images(2, 3) + images() + images(7))
    assert (parts.seconds, parts.assisted_mean) == pytest.approx((whole.seconds, 4))
    assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high))
    assert (parts.control_images, parts.assisted_images) == (3, 3)


def test_many_images_narrow_the_interval():
    few = time_saved(images(8, 12), images(*[4, 6] * 10))
    many = time_saved(images(*[8, 12] * 3000), images(*[4, 6] * 10))
    assert many.high - many.low < (few.high - few.low) / 5


def test_what_shares_a_control_mean_errs_together():
    """Ten images more, automatic or in no time by hand, widen the interval by the same."""
    control = images(*range(5, 17, 4))
    by_hand = time_saved(control, images(*[0] * 20))
    mixed = time_saved(control, images(*[0] * 10), auto_accepted_images=10)
    assert mixed.seconds == by_hand.seconds
    assert mixed.high - mixed.low == pytest.approx(by_hand.high - by_hand.low, rel=0.05)


@settings(max_examples=40)
@given(st.floats(20, 500), st.lists(st.floats(0, 19), min_size=1, max_size=12), TIMES)
def test_the_interval_holds_the_point_for_symmetric_times(centre, spreads, assisted):
    control = images(*(centre + sign * s for s in spreads for sign in (-1, 1)))
    saved = time_saved(control, images(*assisted))
    assert saved.low - 1e-6 <= saved.seconds <= saved.high + 1e-6


@settings(max_examples=40)
@given(TIMES, TIMES, st.integers(0, 50), SECONDS)
def test_constant_times_leave_no_doubt(control, assisted, auto, audit):
    saved = time_saved(
        images(*[control[0]] * len(control)),
        images(*[assisted[0]] * len(assisted)),
        auto_accepted_images=auto,
        audit_seconds=audit,
    )
    assert saved.low == pytest.approx(saved.seconds, abs=1e-6)
    assert saved.high == pytest.approx(saved.seconds, abs=1e-6)


@given(TIMES, TIMES, st.floats(1.5, 3))
def test_hours_scale_with_the_unit_of_time(control, assisted, factor):
    plain = time_saved(images(*control), images(*assisted))
    scaled = time_saved(
        images(*(factor * s for s in control)),
        images(*(factor * s for s in assisted)),
    )
    assert scaled.seconds == pytest.approx(factor * plain.seconds, abs=1e-6)


def test_wilson_by_the_book():
    """Newcombe (1998), table I: 81 of 263, the score method without continuity correction."""
    found = formulas.share(81, 263)
    assert found.value == pytest.approx(0.3080, abs=5e-5)
    assert (found.low, found.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_no_success_and_nothing_but_success_keep_their_doubt():
    none, all_of_them = formulas.share(0, 20), formulas.share(20, 20)
    assert (none.value, none.low) == (0, 0)
    assert none.high == pytest.approx(0.1611, abs=5e-5)
    assert (all_of_them.value, all_of_them.high) == (1, 1)
    assert all_of_them.low == pytest.approx(1 - none.high)
    assert formulas.share(0, 0) is None


@given(st.integers(1, 10_000), st.data())
def test_wilson_agrees_with_scipy_and_stays_within_nought_and_one(trials, data):
    successes = data.draw(st.integers(0, trials))
    found = formulas.share(successes, trials)
    expected = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.count == trials


def test_quality_of_suggestions_by_hand():
    """8 suggested presences of which 6 hold, 12 present in truth, 5 suggested absences, 4 right."""
    quality = formulas.suggestion_quality(
        SuggestionCounts(
            present_right=6, present_wrong=2, absent_right=4, absent_wrong=1, present=12
        )
    )
    shares = (quality.precision, quality.recall, quality.absent_precision)
    assert [s.value for s in shares] == [6 / 8, 6 / 12, 4 / 5]
    assert [s.count for s in shares] == [8, 12, 5]


def test_quality_of_nothing_is_unknown():
    quality = formulas.suggestion_quality(SuggestionCounts())
    assert (quality.precision, quality.recall, quality.absent_precision) == (None, None, None)


def test_a_label_never_suggested_has_recall_nought_and_no_precision():
    quality = formulas.suggestion_quality(SuggestionCounts(present=3))
    assert quality.precision is None
    assert quality.recall == formulas.share(0, 3)
    assert isinstance(quality.recall, Share)


def test_throughput_by_hand():
    pace = formulas.throughput(np.array([20.0, 40.0] * 15))
    assert pace.value == 120
    # 30 s an image, give or take 1.96 × 10 / √30.
    assert (pace.low, pace.high) == pytest.approx((3600 / 33.578, 3600 / 26.422), rel=1e-4)
    one = formulas.throughput(np.array([30.0]))
    assert (one.value, one.low, one.high) == (120, None, None)
    assert formulas.throughput(np.empty(0)) is None
    assert formulas.throughput(np.zeros(3)) is None


def test_krippendorffs_example_for_two_observers():
    """Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section A: 0.095."""
    ann = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    bob = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    found = formulas.agreement(list(zip(ann, bob, strict=True)))
    assert found == (pytest.approx(0.095, abs=5e-4), 10)


def test_krippendorffs_example_for_many_observers_with_gaps():
    """The same, section C: four observers, twelve units, missing data, nominal: 0.743."""
    observers = (
        (1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None),
        (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3),
        (None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None),
        (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None),
    )
    units = [
        [value for value in unit if value is not None] for unit in zip(*observers, strict=True)
    ]
    found = formulas.agreement(units)
    assert found == (pytest.approx(0.743, abs=5e-4), 11)


def test_agreement_of_one_opinion_each_is_unknown():
    assert formulas.agreement([["present"], ["absent"], []]) is None


def test_the_same_answer_everywhere_is_agreement():
    assert formulas.agreement([["absent", "absent"]] * 4) == (1.0, 4)


def test_contradiction_everywhere_is_worse_than_chance():
    found = formulas.agreement([["present", "absent"]] * 4)
    assert found[0] < 0


@given(st.lists(st.lists(st.sampled_from("pa"), max_size=4), max_size=12), st.randoms())
def test_agreement_depends_neither_on_order_nor_on_names(units, random):
    assume(any(len(unit) > 1 for unit in units))
    renamed = [[{"p": "x", "a": "y"}[value] for value in unit] for unit in units]
    for unit in renamed:
        random.shuffle(unit)
    random.shuffle(renamed)
    one, other = formulas.agreement(units), formulas.agreement(renamed)
    assert one[0] == pytest.approx(other[0])
    assert one[0] <= 1
    assert one[1] == other[1]


def test_a_gain_is_unknown_when_either_model_is():
    half, more = Estimate(0.5), Estimate(0.75)
    assert formulas.gain(half, more) == Gain(0.5, 0.75, 0.25)
    assert formulas.gain(None, more) == Gain(None, 0.75, None)
    assert formulas.gain(half, None) == Gain(0.5, None, None)
    assert formulas.gain(None, None) == Gain(None, None, None)
    assert formulas.gain(Estimate(0.0), Estimate(0.0)) == Gain(0.0, 0.0, 0.0)
    assert formulas.gain(half, Estimate(0.75, (0.7, 0.8))).low is None


def test_a_gain_errs_as_both_models_do():
    found = formulas.gain(Estimate(0.5, (0.46, 0.53)), Estimate(0.75, (0.71, 0.81)))
    assert found.low == pytest.approx(0.25 - 0.05)  # 0.04 and 0.03 at a right angle
    assert found.high == pytest.approx(0.25 + (0.06**2 + 0.04**2) ** 0.5)


def test_a_mean_of_nothing_is_unknown():
    assert formulas.mean([]) is None
    assert formulas.mean([1, 2, 6]) == 3
