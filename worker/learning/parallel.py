"""A training that several processes do, handed to them in a folder: one process for each device.

`torchrun --nproc-per-node 2 -m worker.learning.parallel FOLDER` does what `hand_over` wrote there.
It stops at a checkpoint when a file named `stop` appears, and leaves the model in `model/`, or what
went wrong in `failure.txt`.
"""

import argparse
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from worker.learning import checkpoint
from worker.learning.aligner import LabelSpec
from worker.learning.augment import Augmentation, Orientations
from worker.learning.backbone import Backbone, load_backbone
from worker.learning.contexts import PriorGroups
from worker.learning.dataset import Pixels, Split, TrainingSet
from worker.learning.inputs import decode_photos, photos_file
from worker.learning.losses import Loss
from worker.learning.plan import Mode, Precision, TrainingConfig, Tuned, resolve
from worker.learning.processes import Processes, joined
from worker.learning.progress import Progress, Stage, Stopped
from worker.learning.trainer import train

REQUEST, STOP, PROGRESS = "request.safetensors", "stop", "progress.json"
MODEL, DOUBTFUL, FAILURE = "model", "doubtful.json", "failure.txt"
_ENUMS = {"mode": Mode, "tuned": Tuned, "loss": Loss, "precision": Precision}


def hand_over(
    dataset: TrainingSet,
    labels: Sequence[LabelSpec],
    backbone: Backbone,
    config: TrainingConfig,
    folder: Path,
    *,
    on_photo: Callable[[], None],
) -> None:
    """Write a training in tune mode into `folder`, its photos decoded.

    The folder is then the work folder of the training, with one process or with many. Raises
    `NotEnoughLabels` as training does, and `ValueError` without photos or where the backbone stays
    frozen: that takes minutes anyway.
    """
    dataset.ensure_learnable(len(labels))
    config = resolve(config, backbone, dataset)
    if config.mode is not Mode.TUNE or dataset.photos is None:
        raise ValueError("several processes tune a backbone on photos; they train no frozen one")
    folder.mkdir(parents=True, exist_ok=True)
    decode_photos(
        dataset.photos,
        len(dataset.keys),
        config.grid.canvas,
        photos_file(folder, config),
        on_photo=lambda _: on_photo(),
    )
    header = {
        "keys": dataset.keys,
        "split": dataset.split,
        "labels": [asdict(label) for label in labels],
        "config": asdict(config),
        "backbone": backbone.name,
    }
    checkpoint.save(folder / REQUEST, {"labels": torch.from_numpy(dataset.labels)}, header)


@dataclass(frozen=True)
class Request:
    """What `hand_over` wrote."""

    dataset: TrainingSet
    labels: tuple[LabelSpec, ...]
    config: TrainingConfig
    backbone: str


def read_request(folder: Path) -> Request:
    tensors, header = checkpoint.load(folder / REQUEST)
    config = _config(header["config"])
    pixels = np.load(photos_file(folder, config), mmap_mode="r")  # (N, C, H, W)
    dataset = TrainingSet(
        keys=tuple(header["keys"]),
        labels=tensors["labels"].numpy(),
        split=tuple(Split(split) for split in header["split"]),
        photos=lambda index: _photo(pixels[index]),
    )
    labels = tuple(
        LabelSpec(**{**label, "prompts": tuple(label["prompts"])}) for label in header["labels"]
    )
    return Request(dataset, labels, config, header["backbone"])


def read_progress(folder: Path) -> Progress | None:
    """The newest progress of the processes at work; None before the first."""
    path = folder / PROGRESS
    if not path.exists():
        return None
    said = json.loads(path.read_text())
    return Progress(**{**said, "stage": Stage(said["stage"])})


def _photo(pixels: NDArray[np.uint8]) -> Pixels:
    """(C, H, W) to (H, W) or (H, W, 3)."""
    return np.asarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))


def _config(document: dict[str, Any]) -> TrainingConfig:
    fields = document | {name: kind(document[name]) for name, kind in _ENUMS.items()}
    augmentation = document["augmentation"]
    orientations = Orientations(augmentation["orientations"])
    fields["augmentation"] = Augmentation(**{**augmentation, "orientations": orientations})
    fields["tiles"] = tuple(document["tiles"])
    if (prior := document["context_prior"]) is not None:
        fields["context_prior"] = PriorGroups(**prior)
    return TrainingConfig(**fields)


def _write_progress(folder: Path, progress: Progress) -> None:
    part = folder / f"{PROGRESS}.part"
    part.write_text(json.dumps(asdict(progress)))
    part.replace(folder / PROGRESS)


def _train(folder: Path) -> None:
    """This process's part; the first leaves the model, unless all were asked to stop."""
    request, torchrun = read_request(folder), os.getppid()

    def should_stop() -> bool:
        """Also without torchrun: then nobody waits for the outcome, and others may try again."""
        return (folder / STOP).exists() or os.getppid() != torchrun

    with joined() as device:
        model = train(
            request.dataset,
            request.labels,
            load_backbone(request.backbone, device=device),
            request.config,
            workdir=folder,
            on_progress=lambda progress: _write_progress(folder, progress),
            should_stop=should_stop,
        )
        if Processes.here().is_first:
            doubtful = [asdict(one) for one in model.doubtful]
            (folder / DOUBTFUL).write_text(json.dumps(doubtful))
            model.save(folder / MODEL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    try:
        _train(folder)
    except Stopped:
        return
    except Exception as error:
        (folder / FAILURE).write_text(f"{type(error).__name__}: {error}")
        raise


if __name__ == "__main__":
    main()
