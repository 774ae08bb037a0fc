"""Views keep what a photo shows, and are the same under a seed."""

import pytest
import torch
from torch.nn import functional as F

from worker.learning.augment import (
    Augmentation,
    Orientations,
    View,
    augment,
    plain_views,
    usual_orientations,
)

HOW = Augmentation(orientations=Orientations.ANY)
PIXELS = torch.rand(6, 1, 40, 40, generator=torch.Generator().manual_seed(0))


def view(kind: View, seed: int = 0) -> torch.Tensor:
    return augment(PIXELS, kind, torch.Generator().manual_seed(seed), HOW)


@pytest.mark.parametrize("kind", list(View))
def test_a_view_is_a_photo_of_the_same_shape(kind):
    seen = view(kind)
    assert seen.shape == PIXELS.shape
    assert seen.min() >= 0
    assert seen.max() <= 1
    assert torch.equal(seen, view(kind))


def test_a_photo_with_draws_of_its_own_looks_the_same_in_any_batch():
    def seen(photos: list[int]) -> torch.Tensor:
        draws = [torch.Generator().manual_seed(photo) for photo in photos]
        return augment(PIXELS[photos], View.STRONG, draws, HOW)

    assert torch.allclose(seen([4, 1, 3])[1], seen([0, 1])[1], atol=1e-6)


@pytest.mark.parametrize("orientations", [Orientations.ANY, Orientations.MIRRORED])
def test_a_weak_view_is_the_photo_sampled_on_a_moved_grid(orientations):
    how = Augmentation(orientations=orientations, shift=0.2, scale=0.3)
    draws = torch.Generator().manual_seed(7)
    mirrored, upended, transposed = torch.randint(0, 2, (3, 6), generator=draws)
    scale = 1 + how.scale * (2 * torch.rand(6, generator=draws) - 1)
    shift = (torch.rand(6, 2, generator=draws) - 0.5) * 4 * how.shift
    signs = 1 - 2 * torch.stack([mirrored, upended], dim=1)
    theta = torch.diag_embed(signs * scale[:, None])
    theta = torch.cat([theta, (signs * shift)[:, :, None]], dim=2)
    grid = F.affine_grid(theta, [6, 1, 40, 40], align_corners=False)
    wanted = F.grid_sample(PIXELS, grid, padding_mode="reflection", align_corners=False)
    if orientations is Orientations.ANY:
        wanted = torch.where(transposed.bool()[:, None, None, None], wanted.mT, wanted)
    seen = augment(PIXELS, View.WEAK, torch.Generator().manual_seed(7), how)
    assert torch.allclose(seen, wanted, atol=1e-4)


def test_noise_has_the_strength_that_is_asked_for():
    grey = torch.full((400, 1, 40, 40), 0.5)
    how = Augmentation(Orientations.ANY, brightness=0, contrast=0, gamma=0, noise=0.04, cutout=0)
    seen = augment(grey, View.STRONG, torch.Generator().manual_seed(0), how)
    # A strength between nothing and `noise` for each photo; every fourth is blurred after that.
    assert abs(float(seen.mean()) - 0.5) < 1e-3
    assert float(seen.std(dim=(1, 2, 3)).max()) == pytest.approx(0.04, rel=0.05)
    assert float(seen.std(dim=(1, 2, 3)).median()) == pytest.approx(0.02, rel=0.15)


def test_plain_views_change_nothing_and_others_do():
    assert torch.equal(view(View.PLAIN), PIXELS)
    assert not torch.equal(view(View.WEAK), view(View.STRONG))
    assert not torch.equal(view(View.STRONG), view(View.STRONG, seed=1))


@pytest.mark.parametrize(
    ("orientations", "count"),
    [(Orientations.ANY, 8), (Orientations.UPRIGHT, 2), (Orientations.MIRRORED, 4)],
)
def test_orientations_are_distinct_and_begin_with_the_photo(orientations, count):
    views = plain_views(PIXELS, orientations, 99)
    assert len({seen.numpy().tobytes() for seen in views}) == count == len(views)
    assert torch.equal(views[0], PIXELS)


def test_a_defect_stays_in_the_picture():
    photo = torch.zeros(64, 1, 64, 64)
    photo[:, :, 30:36, 8:14] = 1
    seen = augment(photo, View.WEAK, torch.Generator().manual_seed(0), HOW)
    assert (seen.amax(dim=(1, 2, 3)) > 0.8).all()


def test_oblong_photos_are_not_turned():
    assert usual_orientations(256, 256) is Orientations.ANY
    assert usual_orientations(160, 256) is Orientations.MIRRORED
