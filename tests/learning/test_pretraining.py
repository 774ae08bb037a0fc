"""Pre-training: losses, schedule, resuming to the last bit, and what shipped weights know."""

from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional as F

from worker.learning.backbone import load_backbone, untrained
from worker.learning.pretraining import (
    PretrainingConfig,
    attend,
    caption_loss,
    learning_rate_share,
    make_shard,
    pretrain,
    token_loss,
)
from worker.learning.rendering import KINDS, Mixture, render

TINY = PretrainingConfig(
    steps=4,
    size=64,
    shard=2,
    captions=2,
    hard_negatives=1,
    caption_every=2,
    save_every=2,
    threads=1,
)


def test_a_run_that_stops_and_goes_on_ends_in_the_same_bits(tmp_path):
    whole = pretrain(TINY, tmp_path / "whole")
    # The first half knows the whole schedule: its learning rates are those of four steps.
    half = tmp_path / "half"
    half.mkdir()
    (half / "checkpoint.safetensors").write_bytes(_checkpoint_after_two_steps(tmp_path))
    resumed = pretrain(TINY, half)
    for name, tensor in whole.student.state_dict().items():
        assert torch.equal(tensor, resumed.student.state_dict()[name]), name
    for name, tensor in whole.average.state_dict().items():
        assert torch.equal(tensor, resumed.average.state_dict()[name]), name


def _checkpoint_after_two_steps(tmp_path) -> bytes:
    """What a run of four steps has on disk when it is killed after its second."""
    from worker.learning import pretraining

    training = pretraining.Pretraining(TINY)
    torch.set_num_threads(TINY.threads)
    for step in range(2):
        shards = []
        rng = np.random.default_rng((TINY.seed, step, 1))
        for age in pretraining.AGES:
            source = max(0, step - age)
            shard = make_shard(TINY, source, source / TINY.steps)
            turns, mirrored = int(rng.integers(4)), bool(rng.random() < 0.5)
            shards.append(shard.turned(turns, mirrored=mirrored))
        training.step(shards, step / TINY.steps)
    training.save(tmp_path / "killed")
    return (tmp_path / "killed" / "checkpoint.safetensors").read_bytes()


def test_shards_follow_seed_and_step_only():
    first, again = make_shard(TINY, 3, 0.5), make_shard(TINY, 3, 0.5)
    assert np.array_equal(first.pixels, again.pixels)
    assert first.captions == again.captions
    assert not np.array_equal(first.pixels, make_shard(TINY, 4, 0.5).pixels)
    assert not np.array_equal(first.pixels, make_shard(replace(TINY, seed=1), 3, 0.5).pixels)


def test_cells_turn_with_the_picture():
    shard = make_shard(replace(TINY, shard=8), 0, 0.0)
    back = shard.turned(1, mirrored=False).turned(3, mirrored=False)
    assert np.array_equal(back.pixels, shard.pixels)
    assert np.array_equal(back.cells, shard.cells)
    assert (shard.cells == 1).any()


def test_a_perfect_token_costs_less_than_a_wrong_one():
    text = torch.eye(4)[:2]
    tokens = torch.eye(4)[None, [0, 1, 2]]  # (1, 3, 4): first kind, second kind, neither
    right = torch.tensor([[[1, 0], [0, 1], [0, 0]]])
    assert token_loss(tokens, text, right) < 0.1 * token_loss(tokens, text, right.flip(1))
    unknown = torch.full_like(right, -1)
    assert token_loss(tokens, text, unknown) == 0


def test_captions_of_equal_contents_are_no_contrast():
    pooled = torch.eye(3)
    same = torch.tensor([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]])
    scale = torch.tensor(10.0)
    twins = torch.tensor([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]])
    assert (
        caption_loss(pooled, twins, same, scale)
        < caption_loss(pooled, twins, torch.eye(3), scale) + 1e-6
    )
    wrong_fits = torch.cat([twins, pooled[:1]])
    assert caption_loss(pooled, wrong_fits, same, scale) > caption_loss(pooled, twins, same, scale)


def test_the_learning_rate_rises_then_falls():
    shares = [learning_rate_share(step / 1000, step) for step in (0, 50, 120, 500, 1000)]
    assert shares[0] < shares[1] < shares[2] > shares[3] > shares[4] > 0


def _separability(backbone, kind: str) -> float:
    """Area under the ROC curve of a kind's own question, on fresh renders without training."""
    rng = np.random.default_rng(987)
    renders = [render(rng, 128, Mixture(boards=0.5)) for _ in range(160)]
    pixels = torch.from_numpy(np.stack([one.pixels for one in renders])).permute(0, 3, 1, 2) / 255
    phrases = [known.phrases[0] for known in KINDS if known.key == kind]
    with torch.no_grad():
        tokens = F.normalize(backbone.encode_image(pixels).tokens, dim=-1)
        text = F.normalize(backbone.encode_text(phrases), dim=-1)
        scores = attend(tokens, text)[:, 0].numpy()
    shown = np.array([kind in one.kinds for one in renders])
    higher = scores[shown][:, None] > scores[~shown][None]
    return float(higher.mean())


def test_shipped_weights_know_defects_that_they_were_never_tuned_on():
    shipped, blank = load_backbone("kizu-small"), untrained(seed=0)
    kinds = ("island", "pinhole", "open", "crack", "rust")
    knowing = np.mean([_separability(shipped, kind) for kind in kinds])
    assert knowing > 0.7
    assert knowing > np.mean([_separability(blank, kind) for kind in kinds]) + 0.1
