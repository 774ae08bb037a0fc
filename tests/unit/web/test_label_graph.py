"""The picture of context groups: every label has its place, groups stand together."""

import math

import pytest

from app.web.label_graph import FAINTEST, Graph, label_graph, mark

ASSIGNMENT = (0, 1, 0, 2, 1, 0)
LINKS = [(0, 2, 0.5), (0, 1, 0.1), (3, 4, FAINTEST / 2)]


def angle(graph: Graph, node) -> float:
    turn = math.atan2(node.x - graph.width / 2, graph.height / 2 - node.y)
    return turn % (2 * math.pi)


def test_labels_of_a_group_stand_side_by_side():
    graph = label_graph(ASSIGNMENT, LINKS)
    around = sorted(graph.nodes, key=lambda node: angle(graph, node))
    assert "".join(node.mark for node in around) == "AAABBC"
    assert sorted(node.column for node in graph.nodes) == list(range(6))
    assert len(graph.hulls) == 3


@pytest.mark.parametrize("count", [1, 2, 7, 24])
def test_nodes_keep_apart_and_inside_the_picture(count):
    graph = label_graph([number % 3 for number in range(count)], [])
    for node in graph.nodes:
        assert 0 < node.x < graph.width
        assert 0 < node.y < graph.height
    places = [(node.x, node.y) for node in graph.nodes]
    gaps = [math.dist(a, b) for i, a in enumerate(places) for b in places[:i]]
    assert min(gaps, default=99) > 24


def test_stronger_links_are_thicker_and_lie_on_top_and_the_faintest_are_left_out():
    weak, strong = label_graph(ASSIGNMENT, LINKS).lines
    assert (weak.within, strong.within) == (False, True)
    assert strong.width > weak.width
    assert {strong.first.column, strong.second.column} == {0, 2}


def test_groups_beyond_the_alphabet_are_numbered():
    assert (mark(0), mark(25), mark(26)) == ("A", "Z", "27")
