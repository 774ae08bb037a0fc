"""What frozen mode costs: training from cached tokens, prediction from tokens, embedding.

    python -m benchmarks.frozen {train,predict,embed} [--shape kizu-small] [--images 10000] ...

Tokens are drawn at random in the shape of a backbone's: what a training costs does not depend on
what they say. Seconds are given by the clock and of the processor; they part where other programs
run too. Prints JSON.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from worker.learning.aligner import Aligner, Classifier, LabelSpec
from worker.learning.backbone import ImageFeatures, untrained
from worker.learning.dataset import Pixels, Split, TrainingSet
from worker.learning.inputs import prepare_inputs
from worker.learning.learner import TOKEN_BATCH
from worker.learning.plan import Mode, Precision, TrainingConfig, resolve, usual_voices
from worker.learning.predictor import as_pixels
from worker.learning.progress import Progress
from worker.learning.token_cache import CachedFeatures, half
from worker.learning.trainer import train

# Tokens of a photo at the usual resolution, their length, and the architecture that makes them.
SHAPES = {"kizu-small": (400, 128, "kizu-small"), "ViT-B/16": (196, 512, "ViT-B-16")}
N_LABELS = 12
PHOTO_SIDE = 320


class Stopwatch:
    def __init__(self) -> None:
        self.started = time.perf_counter(), time.process_time()

    def seconds(self) -> dict[str, float]:
        """Since the start: by the clock, and of this process on all its cores."""
        clock, processor = self.started
        return {
            "clock_s": round(time.perf_counter() - clock, 1),
            "processor_s": round(time.process_time() - processor, 1),
        }


class Memory:
    """The most memory seen: all that is resident, and what is not backed by a file."""

    def __init__(self) -> None:
        self.most = {"VmRSS": 0, "RssAnon": 0}

    def look(self, _: Progress | None = None) -> None:
        status = dict(
            line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines()
        )
        for name in self.most:
            self.most[name] = max(self.most[name], int(status[name].split()[0]) // 1024)

    def mebibytes(self) -> dict[str, int]:
        return {"resident_mib": self.most["VmRSS"], "anonymous_mib": self.most["RssAnon"]}


# --- training ------------------------------------------------------------------------------


def training(args: argparse.Namespace) -> dict[str, Any]:
    """A tenth of the photos is labelled, the rest is pseudo-labelled; the default plan."""
    n_tokens, dim, architecture = SHAPES[args.shape]
    shape = (args.images, 1 + args.views, n_tokens, dim)
    with tempfile.TemporaryDirectory(dir=args.scratch) as name:
        folder = Path(name)
        features = _random_features(folder, shape)
        dataset = _random_labels(args.images, features)
        memory, backbone = Memory(), untrained(architecture)
        memory.look()
        before, watch = memory.mebibytes(), Stopwatch()
        model = train(
            dataset,
            [LabelSpec(f"label-{k}") for k in range(N_LABELS)],
            backbone,
            TrainingConfig(mode=Mode.FROZEN, strong_views=args.views, threads=args.threads),
            workdir=folder / "training",
            on_progress=memory.look,
        )
        return {
            **watch.seconds(),
            **memory.mebibytes(),
            "before": before,
            "cache_bytes": features.nbytes,
            "plan": model.card.config["plan"],
            "precision": model.card.precision,
        }


def _random_features(folder: Path, shape: tuple[int, ...]) -> CachedFeatures:
    draw = np.random.default_rng(0)
    for name, whole in (("tokens", shape), ("pooled", (*shape[:2], shape[-1]))):
        file = np.lib.format.open_memmap(
            folder / f"{name}.npy", mode="w+", dtype=np.float16, shape=whole
        )
        block = draw.normal(size=(7, *whole[1:])).astype(np.float16)
        for start in range(0, len(file), len(block)):
            part = file[start : start + len(block)]
            part[:] = block[: len(part)]
    return CachedFeatures(folder / "tokens.npy", folder / "pooled.npy")


def _random_labels(count: int, features: CachedFeatures) -> TrainingSet:
    labels = (np.random.default_rng(0).random((count, N_LABELS)) < 0.1).astype(np.int8)
    labels[count // 10 :] = -1
    return TrainingSet(
        keys=tuple(str(i) for i in range(count)),
        labels=labels,
        split=(Split.TRAIN,) * count,
        features=features,
    )


# --- prediction ----------------------------------------------------------------------------


def prediction(args: argparse.Namespace) -> dict[str, Any]:
    """Images a second on one core, in each precision."""
    torch.set_num_threads(1)
    n_tokens, dim, _ = SHAPES[args.shape]
    rates = {name: _prediction(n_tokens, dim, name == "bf16") for name in ("bf16", "fp32")}
    return {"bytes_per_image": 2 * n_tokens * dim, **rates}


def _prediction(n_tokens: int, dim: int, bf16: bool) -> dict[str, int]:
    """From stored halves to logits, beside what no way can do without: reading the tokens, and
    the two products of the adapter."""
    head = Aligner(torch.randn(N_LABELS, dim), 4).hear(usual_voices(Mode.FROZEN)).eval()
    stored = ImageFeatures(torch.randn(512, n_tokens, dim).half(), torch.randn(512, dim).half())
    ready = stored.at_precision(bf16).tokens
    layers = [layer for layer in head.adapter if isinstance(layer, nn.Linear)]
    first, second = (layer.weight.detach().to(ready) for layer in layers)

    def predicted(rows: slice) -> None:
        head(ImageFeatures(stored.tokens[rows], stored.pooled[rows]).at_precision(bf16))

    return {
        "images_per_s": _rate(predicted),
        "two_products_per_s": _rate(lambda rows: F.linear(F.linear(ready[rows], first), second)),
        "reading_per_s": _rate(lambda rows: stored.tokens[rows].clone()),
    }


@torch.inference_mode()
def _rate(work: Callable[[slice], Any], rounds: int = 5) -> int:
    """Images a processor second, the best of several rounds over all of them."""
    best = 0.0
    for _ in range(rounds):
        started = time.process_time()
        for start in range(0, 512, TOKEN_BATCH):
            work(slice(start, start + TOKEN_BATCH))
        best = max(best, 512 / (time.process_time() - started))
    return round(best)


# --- embedding -----------------------------------------------------------------------------


def embedding(args: argparse.Namespace) -> dict[str, Any]:
    """Filling the cache against the bare loop: decode a photo once, encode it once a view."""
    torch.set_num_threads(args.threads)
    backbone = untrained(SHAPES[args.shape][2])
    with tempfile.TemporaryDirectory(dir=args.scratch) as name:
        files = _photo_files(Path(name), args.images)
        dataset = TrainingSet(
            keys=tuple(file.name for file in files),
            labels=np.zeros((len(files), 1), dtype=np.int8),
            split=(Split.TRAIN,) * len(files),
            photos=lambda index: _decoded(files[index]),
        )
        config = resolve(
            TrainingConfig(mode=Mode.FROZEN, strong_views=args.views), backbone, dataset
        )
        head = Aligner(torch.randn(1, backbone.embed_dim), 1)
        classifier = Classifier(backbone, head, bf16=config.precision is Precision.BF16)
        classifier.eval().to(memory_format=torch.channels_last)
        ours, bare = [], []
        for turn in range(args.rounds):
            work = Path(name) / str(turn)
            work.mkdir()
            ours.append(_filled(dataset, config, classifier, work))
            bare.append(_bare(files, config, classifier))
        best_ours, best_bare = (
            min(runs, key=lambda one: one["processor_s"]) for runs in (ours, bare)
        )
        return {
            "ours": best_ours,
            "bare": best_bare,
            "ratio": round(best_bare["processor_s"] / best_ours["processor_s"], 3),
            "precision": config.precision,
        }


def _filled(
    dataset: TrainingSet, config: TrainingConfig, classifier: Classifier, work: Path
) -> dict[str, float]:
    watch = Stopwatch()
    version = classifier.backbone.version
    prepare_inputs(
        dataset, config, classifier.encode, work, backbone_version=version, on_photo=lambda: None
    )
    return watch.seconds()


@torch.inference_mode()
def _bare(files: list[Path], config: TrainingConfig, classifier: Classifier) -> dict[str, float]:
    watch = Stopwatch()
    assert config.resolution is not None
    for start in range(0, len(files), 32):
        photos = [
            as_pixels(_decoded(file), config.grid.canvas) for file in files[start : start + 32]
        ]
        pixels = torch.stack(photos)
        for _ in range(1 + config.strong_views):
            half(classifier.encode(pixels).tokens)
    return watch.seconds()


def _photo_files(folder: Path, count: int) -> list[Path]:
    draw = np.random.default_rng(0)
    files = [folder / f"{index}.png" for index in range(count)]
    for file in files:
        coarse = Image.fromarray(draw.integers(0, 255, (40, 40), dtype=np.uint8))
        coarse.resize((PHOTO_SIDE, PHOTO_SIDE), Image.Resampling.BICUBIC).save(file)
    return files


def _decoded(file: Path) -> Pixels:
    with Image.open(file) as image:
        return np.asarray(image)


def main() -> None:
    measures = {"train": training, "predict": prediction, "embed": embedding}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("measure", choices=measures)
    parser.add_argument("--shape", choices=SHAPES, default="kizu-small")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--views", type=int, default=4, help="strong views beside the photo")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scratch", type=Path, default=None)
    args = parser.parse_args()
    figures = measures[args.measure](args)
    settings = {name: value for name, value in vars(args).items() if name != "scratch"}
    print(json.dumps({**settings, "load": os.getloadavg(), **figures}, indent=1))


if __name__ == "__main__":
    main()
