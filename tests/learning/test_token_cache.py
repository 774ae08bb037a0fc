"""Cached tokens: views follow from seed and photo alone, files tell what they hold."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.learning.marks import SIDE, backbone, marks
from worker.learning.augment import View
from worker.learning.backbone import ImageFeatures
from worker.learning.dataset import FeaturesByPhoto, TrainingSet
from worker.learning.inputs import TokenInputs, prepare_inputs
from worker.learning.plan import Mode, Precision, TrainingConfig, resolve
from worker.learning.token_cache import CachedFeatures

CONFIG = TrainingConfig(mode=Mode.FROZEN, resolution=SIDE, strong_views=2, precision=Precision.FP32)


@pytest.fixture(scope="module")
def model():
    return backbone()


def cached(folder, model, dataset: TrainingSet, config=CONFIG) -> CachedFeatures:
    folder.mkdir(exist_ok=True)
    inputs = prepare_inputs(
        dataset,
        resolve(config, model, dataset),
        torch.inference_mode()(model.encode_image),
        folder,
        backbone_version=model.version,
        on_photo=lambda: None,
    )
    assert isinstance(inputs, TokenInputs)
    assert isinstance(inputs.features, CachedFeatures)
    return inputs.features


def tokens(features: CachedFeatures, *rows_and_views: tuple[int, int]) -> np.ndarray:
    rows, views = np.array(rows_and_views).T
    return features(rows, views)[0]


def test_it_reads_the_view_of_each_photo_that_was_asked_for(tmp_path, model):
    features = cached(tmp_path, model, marks(40))
    assert features.strong == 2
    whole = np.load(next(tmp_path.glob("tokens-*.npy")))
    assert whole.shape[:2] == (40, 3)
    asked = [(39, 2), (0, 0), (33, 1), (0, 0)]
    assert np.array_equal(tokens(features, *asked), whole[tuple(zip(*asked, strict=True))])


def test_a_view_does_not_depend_on_the_photos_beside_it(tmp_path, model):
    many, few = marks(5), marks(5)
    few = dataclasses.replace(
        few,
        keys=few.keys[3:],
        labels=few.labels[3:],
        split=few.split[3:],
        photos=lambda index: many.photos(index + 3),
    )
    one, other = (cached(tmp_path / name, model, x) for name, x in (("a", many), ("b", few)))
    for view in range(3):
        assert tokens(one, (4, view)) == pytest.approx(tokens(other, (1, view)), abs=1e-2)
    assert not np.allclose(tokens(one, (4, 1)), tokens(one, (4, 2)), atol=0.1)


def test_other_draws_are_other_files_and_the_same_ones_are_used_again(tmp_path, model):
    first = cached(tmp_path, model, marks(4))
    written = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    cached(tmp_path, model, marks(4))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == written
    other = cached(tmp_path, model, marks(4), dataclasses.replace(CONFIG, seed=1))
    assert np.array_equal(tokens(first, (2, 0)), tokens(other, (2, 0)))
    assert not np.allclose(tokens(first, (2, 1)), tokens(other, (2, 1)), atol=0.1)


def numbered(strong: int) -> TokenInputs:
    """Tokens that say which view they are of."""

    def read(row: int, view: int) -> tuple[np.ndarray, np.ndarray]:
        return np.full((6, 4), view, np.float16), np.full(4, row, np.float16)

    return TokenInputs(FeaturesByPhoto(read, strong), Precision.FP32)


def drawn(inputs: TokenInputs, view: View, seed: int = 0) -> torch.Tensor:
    batch = inputs.batch(np.arange(60), view, torch.Generator().manual_seed(seed))
    assert isinstance(batch, ImageFeatures)
    return batch.tokens


def test_labelled_photos_are_seen_as_they_are_and_others_in_any_strong_view():
    assert not drawn(numbered(3), View.WEAK).any()
    strong = drawn(numbered(3), View.STRONG)
    assert set(strong[:, 0, 0].tolist()) == {1, 2, 3}
    assert torch.equal(strong, drawn(numbered(3), View.STRONG))
    assert not torch.equal(strong, drawn(numbered(3), View.STRONG, seed=1))


def test_without_strong_views_tokens_are_disturbed():
    ones = TokenInputs(
        FeaturesByPhoto(lambda row, view: (np.eye(4, dtype=np.float16), np.ones(4, np.float16))),
        Precision.FP32,
    )
    plain, strong = drawn(ones, View.PLAIN), drawn(ones, View.STRONG)
    assert not torch.equal(plain, strong)
    assert 0.1 < (strong == 0).all(dim=-1).float().mean() < 0.3
