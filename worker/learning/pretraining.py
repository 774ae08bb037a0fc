"""Pre-training of kizu-small on rendered surfaces: `python -m worker.learning.pretraining`.

Three lessons at once: captions (CLIP), labels of a whole picture through cross-attention, and,
since renders come with masks, the label of every token. No photo of anybody is used.
"""

import argparse
import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, fields, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from worker.learning import checkpoint
from worker.learning.aligner import ALIGNMENT_SCALE, ATTENTION_SCALE, PRIOR_LOGIT
from worker.learning.backbone import Backbone, ImageFeatures, untrained
from worker.learning.learner import follow
from worker.learning.plan import Precision, resolve_precision
from worker.learning.rendering import KINDS, Mixture, render
from worker.learning.rendering.captions import hard_negative, prompt

STRIDE = 8
# A render is met twice, in another orientation and company, since rendering is not free.
AGES = (0, 7)
FOCUS = 2.0  # focal loss (Lin et al., 2017): nearly every token is clean


@dataclass(frozen=True)
class PretrainingConfig:
    """One run, from random weights or from those of the file `start`.

    With `minutes` the schedule follows the clock, and a rerun differs in its bits.
    """

    start: Path | None = None
    steps: int = 4000
    minutes: float | None = None
    seed: int = 0
    size: int = 128
    shard: int = 16  # fresh renders a step; a batch holds len(AGES) times as many
    captions: int = 16
    hard_negatives: int = 8
    caption_every: int = 4  # steps; text costs as much as images do
    lr: float = 2e-3
    text_lr: float = 5e-4
    weight_decay: float = 0.02
    ema_decay: float = 0.998
    severity: float = 1.9  # where the curriculum begins; it ends at 1
    boards: float = 0.6
    staged: float = 0.35  # surfaces that are parts before something else, or lie in depth
    caption_weight: float = 0.5
    threads: int = 2
    renderers: int = 1  # processes that draw while one trains
    device: str = "cpu"
    save_every: int = 200


@dataclass(frozen=True)
class Shard:
    """`pixels` (N, S, S, 3) bytes, `cells` (N, K, S/8, S/8): 1 defect, 0 none, -1 hardly."""

    pixels: NDArray[np.uint8]
    cells: NDArray[np.int8]
    captions: tuple[str, ...]
    wrong_captions: tuple[str, ...]
    contents: tuple[str, ...]  # surface and kinds: equal contents are no contrast

    def turned(self, turns: int, *, mirrored: bool) -> "Shard":
        pixels, cells = np.rot90(self.pixels, turns, (1, 2)), np.rot90(self.cells, turns, (2, 3))
        if mirrored:
            pixels, cells = pixels[:, :, ::-1], cells[..., ::-1]
        return replace(self, pixels=pixels, cells=cells)


def make_shard(config: PretrainingConfig, step: int, progress: float) -> Shard:
    """The fresh renders of one step: they depend on seed, step and progress and nothing else."""
    rng = np.random.default_rng((config.seed, step))
    ease = max(0.0, 1 - 2 * progress)  # the second half is as hard as it gets
    severity = 1 + (config.severity - 1) * ease
    mixture = Mixture(config.boards, config.staged, severity, most_defects=6)
    renders = [render(rng, config.size, mixture) for _ in range(config.shard)]
    return Shard(
        np.stack([one.pixels for one in renders]),
        np.stack([_cells(one.masks, config.size) for one in renders]),
        tuple(one.caption for one in renders),
        tuple(hard_negative(rng, one.surface, one.kinds) for one in renders),
        tuple("|".join((one.surface, *sorted(one.kinds))) for one in renders),
    )


def _cells(masks: dict[str, NDArray[np.bool_]], size: int) -> NDArray[np.int8]:
    """Which tokens see which kind (K, S/8, S/8). Fewer than three pixels are left open."""
    side = size // STRIDE
    cells = np.zeros((len(KINDS), side, side), np.int8)
    for index, kind in enumerate(KINDS):
        if kind.key in masks:
            tiles = masks[kind.key].reshape(side, STRIDE, side, STRIDE)
            covered = tiles.sum(axis=(1, 3))
            cells[index] = np.where(covered > 0, -1, 0)
            cells[index][covered >= min(3, covered.max())] = 1
    return cells


class Renderer:
    """Keeps its processes ahead of the training; yields the shards that make up each batch."""

    def __init__(self, config: PretrainingConfig, pool: ProcessPoolExecutor) -> None:
        self._config, self._pool = config, pool
        self._pending: deque[Future[Shard]] = deque()
        self._kept: dict[int, Shard] = {}

    def batches(self, first: int, last: int, *, progress: float) -> Iterator[list[Shard]]:
        """Batches of the steps `first` to `last`; the first ones of a run repeat its shards."""
        ahead = max(0, first - AGES[-1])
        self._first_shard, self._next, self.progress = ahead, ahead, progress
        for step in range(first, last):
            while self._next < min(step + 8 * self._config.renderers, last):
                share = _progress_of(self._config, self._next, self.progress)
                self._pending.append(self._pool.submit(make_shard, self._config, self._next, share))
                self._next += 1
            while ahead <= step:
                self._kept[ahead] = self._pending.popleft().result()
                ahead += 1
            rng = np.random.default_rng((self._config.seed, step, 1))
            yield [self._turned(rng, max(0, step - age)) for age in AGES]
            self._kept.pop(step - AGES[-1], None)

    def _turned(self, rng: np.random.Generator, step: int) -> Shard:
        return self._kept[step].turned(int(rng.integers(4)), mirrored=bool(rng.random() < 0.5))


def _leave_with_parent() -> None:
    """A renderer must not outlive a training that was killed: its pipe would keep it waiting."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _progress_of(config: PretrainingConfig, step: int, by_clock: float) -> float:
    return by_clock if config.minutes is not None else step / config.steps


def attend(tokens: Tensor, text: Tensor) -> Tensor:
    """Logits (B, K) of a fresh `Aligner`: unit tokens (B, L, D) asked by unit texts (K, D)."""
    attention = (ATTENTION_SCALE * (tokens @ text.T)).softmax(dim=1)  # (B, L, K)
    features = F.normalize(torch.einsum("blk,bld->bkd", attention, tokens), dim=-1)
    return ALIGNMENT_SCALE * (features * text).sum(dim=-1) + PRIOR_LOGIT


def token_loss(tokens: Tensor, text: Tensor, cells: Tensor) -> Tensor:
    """Focal loss of every token and kind, per positive; `cells` (B, L, K) holds 1, 0, -1."""
    logits = ALIGNMENT_SCALE * (tokens @ text.T) + PRIOR_LOGIT
    target = (cells == 1).float()
    miss = (logits.sigmoid() - target).abs() ** FOCUS
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none") * miss
    return (loss * (cells >= 0)).sum() / target.sum().clamp(min=1)


def caption_loss(pooled: Tensor, captions: Tensor, same: Tensor, scale: Tensor) -> Tensor:
    """CLIP's loss with several right answers: `pooled` (N, D), `captions` (N + M, D).

    `same` (N, N) marks pictures of equal contents; the last M captions fit no picture.
    """
    logits = scale * F.normalize(pooled, dim=-1) @ F.normalize(captions, dim=-1).T
    count = len(pooled)
    target = same / same.sum(dim=1, keepdim=True)
    by_image = F.cross_entropy(logits, F.pad(target, (0, logits.shape[1] - count)))
    return (by_image + F.cross_entropy(logits[:, :count].T, target)) / 2


class Pretraining:
    """The model, its moving average, the optimizer; `step` learns from one batch of shards."""

    def __init__(self, config: PretrainingConfig) -> None:
        self.config = config
        self.device = torch.device(config.device)
        self.student = self._beginner().train()
        self.average = self._beginner().requires_grad_(False)
        visual, text = self._parameters()
        self.optimizer = torch.optim.AdamW(
            [{"params": visual, "peak": config.lr}, {"params": text, "peak": config.text_lr}],
            lr=config.lr,
            weight_decay=config.weight_decay,
        )
        self.bf16 = resolve_precision(Precision.AUTO, self.device) is Precision.BF16
        self.steps_done, self.seconds = 0, 0.0

    def _beginner(self) -> Backbone:
        backbone = untrained(seed=self.config.seed)
        if self.config.start is not None:
            tensors, _ = checkpoint.load(self.config.start)
            backbone.model.load_state_dict(tensors)
        return backbone.to(self.device)

    def _parameters(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        named = dict(self.student.named_parameters())
        visual = [p for name, p in named.items() if name.startswith("model.visual.")]
        text = [p for name, p in named.items() if not name.startswith("model.visual.")]
        return visual, text

    def step(self, shards: list[Shard], progress: float) -> dict[str, Tensor]:
        """One optimizer step; returns the parts of the loss, which a GPU may still compute."""
        rng = np.random.default_rng((self.config.seed, self.steps_done, 2))
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * learning_rate_share(progress, self.steps_done)
        losses = self._losses(shards, rng)
        total = torch.stack(list(losses.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), 3.0)
        self.optimizer.step()
        self._follow()
        self.steps_done += 1
        return {name: loss.detach() for name, loss in losses.items()}

    def _losses(self, shards: list[Shard], rng: np.random.Generator) -> dict[str, Tensor]:
        pixels = np.concatenate([shard.pixels for shard in shards])
        cells = torch.from_numpy(np.concatenate([shard.cells for shard in shards])).to(self.device)
        cells = cells.flatten(2).transpose(1, 2)  # (B, L, K)
        features = self._see(torch.from_numpy(pixels).to(self.device))
        tokens = F.normalize(features.tokens.float(), dim=-1)
        text = F.normalize(self._read([prompt(rng, kind.key) for kind in KINDS]), dim=-1)
        shown = (cells == 1).any(dim=1).float()
        losses = {
            "tokens": token_loss(tokens, text, cells),
            "labels": F.binary_cross_entropy_with_logits(attend(tokens, text), shown) * 4,
        }
        if self.steps_done % self.config.caption_every == 0:
            captions = self._caption_loss(features.pooled.float(), shards[0])
            losses["captions"] = self.config.caption_weight * captions
        return losses

    def _read(self, sentences: list[str]) -> Tensor:
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            return self.student.encode_text(sentences).float()

    def _see(self, pixels: Tensor) -> ImageFeatures:
        images = pixels.permute(0, 3, 1, 2).float() / 255  # keeps channels last in memory
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            return self.student.encode_image(images)

    def _caption_loss(self, pooled: Tensor, fresh: Shard) -> Tensor:
        """On the fresh renders only, which stand first in the batch: text costs time too."""
        count = min(self.config.captions, len(fresh.captions))
        wrong = fresh.wrong_captions[: self.config.hard_negatives]
        captions = self._read([*fresh.captions[:count], *wrong])
        contents = np.array(fresh.contents[:count])
        equal = (contents[:, None] == contents[None]).astype(np.float32)
        same = torch.from_numpy(equal).to(self.device)
        scale = self.student.model.logit_scale.exp().clamp(max=100)
        return caption_loss(pooled[:count], captions, same, scale)

    @torch.no_grad()
    def _follow(self) -> None:
        decay = min(self.config.ema_decay, (1 + self.steps_done) / (10 + self.steps_done))
        follow(self.average.state_dict(), self.student.state_dict(), 1 - decay)

    def save(self, folder: Path) -> None:
        """`checkpoint.safetensors` to go on from, `model.safetensors` (fp16) to use."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {
            **checkpoint.prefixed("student", self.student.state_dict()),
            **checkpoint.prefixed("average", self.average.state_dict()),
            **checkpoint.prefixed("optimizer", checkpoint.optimizer_tensors(self.optimizer)),
        }
        header = {"step": self.steps_done, "seconds": self.seconds}
        checkpoint.save(folder / "checkpoint.safetensors", tensors, header)
        export(self.average, folder / "model.safetensors", header)

    def resume(self, folder: Path) -> bool:
        """Go on from `folder` where it holds a checkpoint; says whether it does."""
        file = folder / "checkpoint.safetensors"
        if not file.exists():
            return False
        tensors, header = checkpoint.load(file)
        self.student.load_state_dict(checkpoint.under("student", tensors))
        self.average.load_state_dict(checkpoint.under("average", tensors))
        checkpoint.restore_optimizer(self.optimizer, checkpoint.under("optimizer", tensors))
        self.steps_done, self.seconds = header["step"], header["seconds"]
        return True


def learning_rate_share(progress: float, step: int) -> float:
    """A short rise, then a cosine to 2 % over the run."""
    rise = min(1.0, (step + 1) / 100)
    return rise * (0.02 + 0.98 * 0.5 * (1 + float(np.cos(np.pi * min(progress, 1.0)))))


def export(backbone: Backbone, file: Path, header: dict[str, float]) -> None:
    """Weights in half precision, as they ship."""
    tensors = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in backbone.model.state_dict().items()
    }
    checkpoint.save(file, tensors, header)


def pretrain(config: PretrainingConfig, folder: Path) -> Pretraining:
    """Run, or go on with, a pre-training in `folder`; writes `log.jsonl` beside the weights."""
    torch.set_num_threads(config.threads)
    training = Pretraining(config)
    training.resume(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with (
        ProcessPoolExecutor(
            config.renderers, mp_context=get_context("spawn"), initializer=_leave_with_parent
        ) as pool,
        (folder / "log.jsonl").open("a") as log,
    ):
        for line in _run(training, Renderer(config, pool), folder):
            log.write(json.dumps(line) + "\n")
            log.flush()
    training.save(folder)
    return training


def _run(training: Pretraining, renderer: Renderer, folder: Path) -> Iterator[dict[str, float]]:
    """Steps until they or the minutes are spent; yields a line of figures now and then."""
    config, before = training.config, training.seconds
    start = time.monotonic()
    last = config.steps if config.minutes is None else sys.maxsize
    first_progress = before / (60 * config.minutes) if config.minutes else 0.0
    for shards in renderer.batches(training.steps_done, last, progress=first_progress):
        training.seconds = before + time.monotonic() - start
        if config.minutes is None:
            progress = training.steps_done / config.steps
        else:
            progress = renderer.progress = training.seconds / (60 * config.minutes)
        if progress >= 1:
            break
        figures = training.step(shards, progress)
        if training.steps_done % 20 == 1:
            yield {
                "step": training.steps_done,
                "seconds": round(training.seconds, 1),
                "progress": round(progress, 4),
                **{name: round(loss.item(), 4) for name, loss in figures.items()},
            }
        if training.steps_done % config.save_every == 0:
            training.save(folder)


OPTIONAL: dict[str, type] = {"start": Path, "minutes": float}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m worker.learning.pretraining", description=__doc__
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(".cache/pretraining"),
        help="folder of checkpoint, weights and log; an old run there goes on",
    )
    for field in fields(PretrainingConfig):
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=OPTIONAL.get(field.name, type(field.default)),
            default=field.default,
        )
    given = vars(parser.parse_args(arguments))
    folder = given.pop("out")
    pretrain(PretrainingConfig(**given), folder)


if __name__ == "__main__":
    main()
