"""Overview and tiles: their geometry, how they go through a backbone, and a training on them."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.learning.marks import QUICK, SPECS, backbone
from worker.learning.aligner import Aligner, Classifier
from worker.learning.augment import Augmentation, Orientations
from worker.learning.backbone import ImageFeatures, load_backbone, untrained
from worker.learning.dataset import Split, TrainingSet
from worker.learning.distillation import distil
from worker.learning.export import export_onnx
from worker.learning.method import KIZU
from worker.learning.metrics import mean_average_precision
from worker.learning.onnx_model import OnnxModel
from worker.learning.plan import Mode, Precision, resolve
from worker.learning.predictor import Predictor, TrainedModel
from worker.learning.tiling import MOST_TILES, Grid, usual_size, usual_tiles
from worker.learning.trainer import train
from worker.learning.views import VIEWS_AT_ONCE, cut, encode_views

LARGE = 68


def large_photo(present: int, index: int, height: int = LARGE, width: int = LARGE) -> np.ndarray:
    """Grey, noisy, with a bright square of 4 pixels where `present`."""
    draw = np.random.default_rng(index)
    grey = draw.normal(100, 12, (height, width))
    row, column = draw.integers(0, height - 4), draw.integers(0, width - 4)
    grey[row : row + 4, column : column + 4] += 140 * present
    return grey.clip(0, 255).astype(np.uint8)


def large_set(n_labeled: int, height: int = LARGE, width: int = LARGE) -> TrainingSet:
    present = np.arange(n_labeled) % 2
    return TrainingSet(
        keys=tuple(map(str, range(n_labeled))),
        labels=present[:, None].astype(np.int8),
        split=(Split.TRAIN,) * n_labeled,
        photos=lambda index: large_photo(present[index], index, height, width),
    )


TILED = dataclasses.replace(
    QUICK, resolution=32, tiles=(2, 2), rounds=0, threads=1, precision=Precision.FP32
)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 2), (3, 4), (1, 5)])
def test_tiles_cover_the_canvas(rows, columns):
    grid = Grid(rows, columns, 48)
    seen = np.zeros(grid.canvas, dtype=int)
    for top, left in grid.corners:
        seen[top : top + 48, left : left + 48] += 1
    assert seen.min() == 1
    assert seen.shape == (top + 48, left + 48)


def test_what_is_smaller_than_the_overlap_is_whole_in_one_tile():
    grid = Grid(2, 3, 48)
    height, width = grid.canvas
    for row in range(height - grid.overlap + 1):
        for column in range(width - grid.overlap + 1):
            assert any(
                top <= row
                and row + grid.overlap <= top + 48
                and left <= column
                and column + grid.overlap <= left + 48
                for top, left in grid.corners
            )


@pytest.mark.parametrize(
    ("size", "side", "square", "tiles"),
    [
        ((160, 160), 160, True, (1, 1)),
        ((320, 320), 160, True, (1, 1)),
        ((340, 340), 160, True, (2, 2)),
        ((3000, 4000), 160, False, (2, 3)),
        ((4000, 3000), 160, False, (3, 2)),
        ((100, 4000), 160, False, (1, 6)),
        ((100, 4000), 160, True, (1, 1)),
    ],
)
def test_the_grid_follows_the_photos(size, side, square, tiles):
    assert usual_tiles(size, side, square=square) == tiles


def test_the_size_of_a_project_is_the_median_of_its_photos():
    sizes = [(100, 100)] * 3 + [(600, 800)] * 5 + [(4000, 4000)]
    assert usual_size(sizes.__getitem__, len(sizes)) == (600, 800)
    assert usual_size(lambda _: None, 5) is None


@pytest.mark.parametrize(("rows", "columns"), [(0, 2), (4, 4), (1, MOST_TILES + 1)])
def test_impossible_grids_are_refused(rows, columns):
    with pytest.raises(ValueError, match="tiles"):
        Grid(rows, columns, 48)


def test_oblong_grids_and_quarter_turns_exclude_each_other():
    config = dataclasses.replace(
        TILED, tiles=(1, 2), augmentation=Augmentation(orientations=Orientations.ANY)
    )
    with pytest.raises(ValueError, match="cannot be turned"):
        resolve(config, backbone(), large_set(4))


def test_the_grid_is_decided_from_the_photos():
    config = dataclasses.replace(TILED, tiles=None, resolution=None)
    tower = untrained("ViT-S-32-alt")  # learned positions of 224 pixels
    assert resolve(config, tower, large_set(4, 448, 448)).tiles == (1, 1)
    assert resolve(config, tower, large_set(4, 460, 460)).tiles == (2, 2)
    assert resolve(config, tower, large_set(4, 420, 620)).tiles == (2, 3)


@pytest.mark.parametrize(("side", "resolution"), [(90, 160), (200, 192), (256, 240), (640, 240)])
def test_a_backbone_of_any_size_is_as_fine_as_its_photos_within_bounds(side, resolution):
    """It takes a larger picture instead of tiles."""
    config = dataclasses.replace(TILED, tiles=None, resolution=None)
    resolved = resolve(config, backbone(), large_set(1, side, side))
    assert (resolved.resolution, resolved.tiles) == (resolution, (1, 1))
    hurried = dataclasses.replace(config, time_budget_seconds=75)
    assert resolve(hurried, backbone(), large_set(1, side, side)).resolution == 160


def test_an_overview_and_tiles_come_photo_by_photo():
    grid = Grid(2, 3, 16)
    canvas = torch.rand(2, 3, *grid.canvas)
    views = cut(canvas, grid).unflatten(0, (2, grid.views))
    for number, (top, left) in enumerate(grid.corners, start=1):
        assert torch.equal(views[:, number], canvas[:, :, top : top + 16, left : left + 16])
    whole = views[:, 0].mean(dim=(2, 3))
    assert torch.allclose(whole, canvas.mean(dim=(2, 3)), atol=0.05)


def test_many_views_go_through_in_parts_and_give_the_same():
    """In a training step too, where each part is computed again on the way back."""
    grid, seen = Grid(3, 4, 16), []
    model = backbone().eval()

    def encode(pixels: torch.Tensor) -> ImageFeatures:
        seen.append(len(pixels))
        return model.encode_image(pixels)

    canvas = torch.rand(20, 3, *grid.canvas)
    whole = [encode_views(encode, part, grid) for part in canvas.split(5)]
    weight = next(model.model.visual.parameters())
    torch.cat([one.tokens for one in whole]).square().sum().backward()
    expected, weight.grad = weight.grad, None
    seen.clear()
    features = encode_views(encode, canvas, grid)
    assert max(seen) <= VIEWS_AT_ONCE
    assert sum(seen) == 20 * grid.views
    assert torch.allclose(features.tokens, torch.cat([one.tokens for one in whole]), atol=1e-5)
    assert torch.allclose(features.pooled, torch.cat([one.pooled for one in whole]), atol=1e-5)
    features.tokens.square().sum().backward()
    assert (weight.grad - expected).abs().max() < 1e-3 * expected.abs().max()


@pytest.fixture(scope="module")
def predictor(tmp_path_factory) -> Predictor:
    """Trained on an overview and four tiles to find a spot that the overview nearly loses."""
    config = dataclasses.replace(TILED, epochs=20)
    workdir = tmp_path_factory.mktemp("tiled")
    tower = load_backbone("kizu-small")
    method = dataclasses.replace(KIZU, measures_confidence=False)
    dataset = large_set(48)
    return train(dataset, SPECS[:1], tower, config, workdir=workdir, method=method).predictor()


def photos(count: int) -> list[np.ndarray]:
    return [large_photo(index % 2, 1000 + index) for index in range(count)]


def test_small_defects_are_found(predictor):
    present = (np.arange(60) % 2)[:, None]
    probabilities = predictor.predict(photos(60)).probabilities
    assert mean_average_precision(probabilities, present) > 0.8  # by chance 0.5


def test_a_tiled_model_comes_back_from_its_files(predictor, tmp_path):
    TrainedModel(predictor.classifier, predictor.card).save(tmp_path)
    loaded = Predictor.load(tmp_path)
    assert loaded.card == predictor.card
    assert loaded.card.grid == Grid(2, 2, 32)
    some = photos(3)
    assert (loaded.predict(some).probabilities == predictor.predict(some).probabilities).all()


def test_maps_of_a_tiled_model_cover_the_photo(predictor):
    maps = predictor.explain(photos(2))
    assert maps.values.shape == (2, 1, 32, 32)
    assert (maps.values.max(axis=(2, 3)) == 255).all()


def test_a_tiled_model_is_exported_with_its_tiles(predictor, tmp_path):
    export_onnx(predictor, tmp_path)
    some = photos(9)
    expected = predictor.predict(some).probabilities
    assert OnnxModel.load(tmp_path, threads=1).predict(some) == pytest.approx(expected, abs=1e-3)


def test_a_tiled_teacher_has_a_student_without_tiles(predictor, tmp_path):
    config = dataclasses.replace(TILED, tiles=None, epochs=1)
    student = distil(predictor, large_set(16), backbone(), config, workdir=tmp_path)
    assert student.card.tiles == (1, 1)
    assert student.card.config["distilled_from"]["tiles"] == [2, 2]


def test_frozen_heads_learn_from_the_tokens_of_all_views(tmp_path):
    config = dataclasses.replace(TILED, mode=Mode.FROZEN)
    model = train(large_set(8), SPECS[:1], backbone(), config, workdir=tmp_path)
    (cached,) = tmp_path.glob("tokens-*.npy")
    assert np.load(cached, mmap_mode="r").shape[-2] == 5 * 16
    assert np.isfinite(model.predictor().predict(photos(2)).probabilities).all()


def test_very_large_photos_are_kept_no_larger_than_their_grid(tmp_path):
    """Photos of 4,000 x 3,000 pixels train and predict on a canvas of 2 x 3 tiles."""
    config = dataclasses.replace(TILED, tiles=(2, 3), epochs=1, batch_labeled=2)
    large = np.zeros((3000, 4000), dtype=np.uint8)
    dataset = dataclasses.replace(large_set(2), photos=lambda _: large)
    model = train(dataset, SPECS[:1], backbone(), config, workdir=tmp_path)
    grid = model.card.grid
    (cached,) = tmp_path.glob("photos-*.npy")
    assert np.load(cached, mmap_mode="r").shape == (2, 1, *grid.canvas)
    assert np.isfinite(model.predictor().predict([large]).probabilities).all()


def test_other_towers_take_tiles():
    """A vision transformer sees every tile at the size that its positions were learned for."""
    tower, grid = untrained("ViT-S-32-alt"), Grid(2, 2, 224)
    head = Aligner(torch.randn(2, tower.embed_dim), 1)
    classifier = Classifier(tower, head, grid=grid).eval()
    with torch.inference_mode():
        features = classifier.encode(torch.rand(2, 3, *grid.canvas))
    assert features.tokens.shape == (2, 5 * tower.grid[0] * tower.grid[1], tower.embed_dim)
