"""Geometry of the charts: what is drawn is what was measured."""

from types import SimpleNamespace

import pytest

from app.web.charts import Figure, columns, common_axis, figure, reliability_dots


def test_the_highest_column_reaches_the_top_and_others_keep_proportion():
    low, high = columns([("a", 5.0), ("b", 20.0)], width=200, height=100)
    assert (high.y, high.height) == (0.0, 100.0)
    assert (low.y, low.height) == (75.0, 25.0)
    assert low.x + low.width < high.x


def test_nothing_measured_draws_nothing():
    assert columns([], width=200, height=100) == []
    (flat,) = columns([("a", 0.0)], width=200, height=100)
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
