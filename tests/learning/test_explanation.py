"""Heat maps: where a label's evidence is, in a few hundred bytes."""

import dataclasses
import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from tests.learning.marks import QUICK, SIDE, SPECS, backbone, marks, photo
from worker.learning.aligner import Aligner, Classifier
from worker.learning.baselines.global_alignment import GlobalHead
from worker.learning.explanation import Basis, HeatMaps, contributions, heat_maps, png
from worker.learning.tiling import Grid
from worker.learning.trainer import train


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("training")
    config = dataclasses.replace(QUICK, epochs=25, rounds=0, threads=1)
    return train(marks(64, 0, 52), SPECS, backbone(), config, workdir=workdir).predictor()


def test_a_bright_spot_is_pointed_at(predictor):
    """Trained on labels of whole photos, the map of "bright" peaks on the bright square."""
    hits = []
    for index in range(2000, 2030):
        seen = photo(np.array([1, 0, 0]), index)
        row, column = predictor.explain([seen]).peaks()[0, 0] * SIDE
        near = seen[max(int(row) - 8, 0) : int(row) + 9, max(int(column) - 8, 0) : int(column) + 9]
        hits.append((near > 180).any())
    assert np.mean(hits) > 0.7


@pytest.mark.parametrize("basis", Basis)
def test_maps_are_bytes_of_each_label(predictor, basis):
    photos = [photo(np.array([1, 1, 0]), 5), np.zeros((30, 90, 3), dtype=np.uint8)]
    maps = predictor.explain(photos, basis)
    assert maps.values.shape == (2, len(SPECS), 6, 6)
    assert maps.values.dtype == np.uint8
    strongest = maps.values.max(axis=(2, 3))
    assert np.isin(strongest, (0, 255)).all()


def test_contributions_add_up_to_the_score():
    """The sum over tokens is the logit, up to the bias and the length of the label's feature."""
    torch.manual_seed(0)
    tokens = torch.randn(1, 1, 16) + 0.05 * torch.randn(1, 9, 16)
    head = Aligner(tokens[0, :1].expand(3, 16), 1)  # every token speaks for it: none is cut at 0
    with torch.no_grad():
        parts = contributions(head, tokens, Basis.BOTH)  # (1, 3, 9)
        unit = F.normalize(tokens, dim=-1)
        feature = torch.einsum("blk,bld->bkd", head.attention(unit), unit)
        margin = head.alignment_scale.exp() * parts.sum(dim=-1) / feature.norm(dim=-1)
        logits = head.align(F.normalize(feature, dim=-1))
    assert (parts > 0).all()
    assert torch.allclose(margin + head.bias, logits, atol=1e-4)


def test_fine_maps_are_pooled_and_keep_their_peak():
    torch.manual_seed(0)
    classifier = Classifier(backbone(), Aligner(torch.randn(2, 128), 1)).eval()
    tokens = classifier.encode(torch.rand(1, 3, 40 * 8, 40 * 8)).tokens
    maps = heat_maps(classifier.head, tokens)
    assert maps.values.shape == (1, 2, 32, 32)
    assert (maps.values.max(axis=(2, 3)) == 255).all()


def test_peaks_are_shares_of_the_sides():
    values = np.zeros((1, 1, 4, 4), dtype=np.uint8)
    values[0, 0, 1, 3] = 255
    assert HeatMaps(values).peaks()[0, 0].tolist() == [0.375, 0.875]


def test_a_map_is_stored_as_a_small_png(predictor):
    heat = predictor.explain([photo(np.array([1, 0, 0]), 7)]).values[0, 0]
    stored = png(heat)
    assert len(stored) < 200
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(stored))), heat)


def test_maps_come_with_the_prediction_from_one_pass(predictor, monkeypatch):
    photos = [photo(np.array([1, 1, 0]), 5), photo(np.array([0, 0, 1]), 6)]
    passes = []
    encode = predictor.classifier.encode
    monkeypatch.setattr(
        predictor.classifier, "encode", lambda pixels: passes.append(1) or encode(pixels)
    )
    look, tokens = predictor.look_with_tokens(photos)
    assert len(passes) == predictor.card.views
    maps = heat_maps(predictor.classifier.head, tokens)
    assert (maps.values == predictor.explain(photos).values).all()
    assert (look.logits == predictor.look(photos).logits).all()


def test_maps_of_tiles_lie_where_their_tiles_lie():
    """One strong token in each of 2 x 3 tiles, then in the overview, peaks at its own place."""
    torch.manual_seed(0)
    grid, dim = Grid(2, 3, 16), 8
    head = Aligner(torch.eye(dim)[:1], 1)
    height, width = grid.canvas
    corners = [(top + 4, left + 12) for top, left in grid.corners]  # of token 0 1 of 2 x 2
    expected = [(height / 4, 3 * width / 4), *corners]
    for view, (row, column) in enumerate(expected):
        tokens = torch.eye(dim)[1].repeat(1, grid.views * 4, 1)
        tokens[0, view * 4 + 1] = torch.eye(dim)[0]
        found = heat_maps(head, tokens, grid).peaks()[0, 0] * (height, width)
        token, place = 8 if view else width / 2, width / 32
        assert abs(found - (row, column)).max() <= token / 2 + place / 2


def test_a_head_without_places_is_refused():
    head = GlobalHead(torch.randn(3, 128))
    with pytest.raises(TypeError, match="GlobalHead"):
        heat_maps(head, torch.rand(1, 36, 128))
