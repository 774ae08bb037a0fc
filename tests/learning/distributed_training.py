"""A training of the tiny tower that a test starts by torchrun, or alone: `FOLDER`.

Leaves the last loss, the logits of some photos and what was tuned.
"""

import dataclasses
import json
import sys
from contextlib import ExitStack
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.learning.marks import QUICK, SPECS, marks
from tests.learning.towers import SIDE, tiny
from worker.learning.adapters import adapter_state
from worker.learning.aligner import Voice
from worker.learning.plan import Mode, Precision, Tuned
from worker.learning.processes import Processes, joined
from worker.learning.progress import Progress
from worker.learning.trainer import train

CONFIG = dataclasses.replace(
    QUICK,
    mode=Mode.TUNE,
    tuned=Tuned.LORA,
    resolution=SIDE,
    epochs=2,
    lr=1e-2,
    threads=1,
    precision=Precision.FP32,
    voices=(Voice.PLACES, Voice.WHOLE),  # each process draws a decoder's dropout for its own photos
)


def main(folder: Path, alone: bool) -> None:
    with ExitStack() as stack:
        if not alone:
            stack.enter_context(joined())
        dataset, seen = marks(13, 17), []
        assert dataset.photos is not None
        photos = [dataset.photos(index) for index in range(20)]

        def note(progress: Progress) -> None:
            seen.append(progress.metrics)

        model = train(dataset, SPECS, tiny(folder.parent), CONFIG, workdir=folder, on_progress=note)
        if Processes.here().is_first:
            logits = model.predictor().look(photos).logits
            tuned = adapter_state(model.classifier.backbone)
            save_file({**tuned, "logits": torch.from_numpy(logits)}, folder / "result.safetensors")
            (folder / "figures.json").write_text(json.dumps(seen[-1]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), alone=len(sys.argv) > 2)
