"""Geometry of the charts: what is drawn is what was measured."""

from types import SimpleNamespace

import pytest

from app.web.charts import (
    HEAD,
    Figure,
    Point,
    common_axis,
    figure,
    reliability_dots,
    series_chart,
)


def test_columns_stand_on_the_zero_line_in_proportion():
    chart = series_chart([Point("a", 5.0), Point("b", 20.0)], width=200, height=116)
    assert [(tick.value, tick.y) for tick in chart.ticks] == [
        (0, 116), (5, 91), (10, 66), (15, 41), (20, HEAD),
    ]  # fmt: skip
    low, high = chart.bars
    assert (high.y, high.height) == (HEAD, 100.0)
    assert (low.y, low.height) == (91.0, 25.0)
    assert low.x + low.width < high.x
    assert chart.digits == 0


def test_a_loss_hangs_below_the_zero_line():
    chart = series_chart([Point("a", -0.2), Point("b", 0.1)], width=200, height=100)
    loss, gain = chart.bars
    assert loss.y == pytest.approx(gain.y + gain.height)
    assert loss.height == pytest.approx(2 * gain.height)
    assert chart.ticks[0].value == pytest.approx(-0.2)
    assert chart.digits == 1


def test_whiskers_lie_within_the_chart_and_values_above_them():
    (bar,) = series_chart([Point("a", 3.0, 1.0, 9.0)], width=200, height=100).bars
    upper, lower = bar.whisker
    assert HEAD <= upper < bar.y < lower < 100
    assert bar.label_y < upper
    assert series_chart([Point("a", 3.0)], width=200, height=100).bars[0].whisker is None


def test_shares_have_the_whole_for_their_axis():
    (bar,) = series_chart([Point("a", 0.25)], width=200, height=116, top=1.0).bars
    assert bar.height == 25.0


def test_of_many_columns_some_are_named_the_last_one_always():
    points = [Point(str(n), 1.0) for n in range(30)]
    chart = series_chart(points, width=300, height=100)
    named = [bar.point.label for bar in chart.bars if bar.is_named]
    assert named == ["4", "9", "14", "19", "24", "29"]
    assert not chart.has_values


def test_what_is_unknown_leaves_its_place_empty():
    assert series_chart([], width=200, height=100) is None
    assert series_chart([Point("a", None)], width=200, height=100) is None
    known = series_chart([Point("a", 1.0), Point("b", 1.0)], width=200, height=100)
    gap = series_chart([Point("a", None), Point("b", 1.0)], width=200, height=100)
    assert [bar.x for bar in gap.bars] == [known.bars[1].x]
    (flat,) = series_chart([Point("a", 0.0)], width=200, height=100).bars
    assert flat.height == 0.0


def test_a_reliable_bin_lies_on_the_diagonal_and_more_answers_make_a_larger_dot():
    few = {"confidence": 0.2, "frequency": 0.2, "count": 25}
    many = {"confidence": 0.9, "frequency": 0.5, "count": 100}
    reliable, too_sure = reliability_dots([few, many], size=200, largest=8)
    assert (reliable.x, reliable.y) == (40.0, 160.0)
    assert (too_sure.x, too_sure.y) == (180.0, 100.0)
    assert (reliable.radius, too_sure.radius) == (4.0, 8.0)
    assert reliability_dots([], size=200) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        (0.5, Figure(0.5)),
        ({"value": 0.5, "low": 0.4, "high": 0.6}, Figure(0.5, 0.4, 0.6)),
        ({"value": None}, None),
        (SimpleNamespace(value=1, low=0.9, high=1.0), Figure(1.0, 0.9, 1.0)),
    ],
)
def test_a_figure_is_read_from_whatever_services_write(given, expected):
    assert figure(given) == expected


@pytest.mark.parametrize(
    ("figures", "low", "ticks"),
    [
        ([Figure(0.95, 0.91, 0.99)], 0.8, [0.8, 0.9, 1.0]),
        ([Figure(0.95), Figure(0.7, 0.61, 0.8)], 0.6, [0.6, 0.7, 0.8, 0.9, 1.0]),
        ([Figure(0.6, 0.55, 0.7)], 0.4, [0.4, 0.6, 0.8, 1.0]),
        ([Figure(0.0)], 0.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        ([], 0.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
    ],
)
def test_a_common_axis_begins_below_every_interval(figures, low, ticks):
    axis = common_axis(figures, width=212)
    assert axis.low == pytest.approx(low)
    assert axis.ticks == pytest.approx(ticks)
    assert (axis.x(axis.low), axis.x(1.0)) == (6.0, 206.0)
    assert all(axis.x(one.value) >= 6.0 for one in figures)
