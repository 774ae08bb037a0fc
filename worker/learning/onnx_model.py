"""An exported model in use: photos in, calibrated probabilities out, without PyTorch.

    python -m worker.learning.onnx_model FOLDER PHOTO ... [--file int8.onnx]

prints a line of JSON for each photo. Nothing imported here may import torch; a test holds that.
Files are written by `export.py`.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import NoSuchFile
from PIL import Image

from worker.imaging.decode import Undecodable, decode
from worker.learning.calibration import Calibration
from worker.learning.tiling import Grid, Size

MODEL, CARD = "model.onnx", "card.json"
BATCH = 16
MOST_PIXELS = 400_000_000

Scores = NDArray[np.float64]
Pixels = NDArray[np.uint8]


class OnnxModel:
    """Predicts with one exported model on the processor."""

    def __init__(self, file: Path, card: dict[str, Any], threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(
            str(file), options, providers=["CPUExecutionProvider"]
        )
        self.labels: tuple[str, ...] = tuple(label["key"] for label in card["labels"])
        self._grid = Grid.of_card(card)
        self._calibration = Calibration.from_json(card["calibration"])

    @classmethod
    def load(cls, folder: Path, *, file: str = MODEL, threads: int = 0) -> Self:
        """A model with its card in `folder`; `threads` 0 means as many as there are cores."""
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        return cls(folder / file, card, threads)

    def logits(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, 3, H, W) in 0..1, the canvas of the grid, to (B, K), before calibration."""
        found: NDArray[np.float32] = self._session.run(["logits"], {"pixels": pixels})[0]
        return found

    def predict(self, photos: Sequence[Pixels]) -> Scores:
        """Calibrated probabilities (N, K) of photos (H, W) or (H, W, 3) of any size."""
        size, batch = self._grid.canvas, self._grid.photos_within(BATCH)
        parts = [
            self.logits(as_batch(photos[start : start + batch], size))
            for start in range(0, len(photos), batch)
        ]
        return self._calibration(np.concatenate(parts).astype(np.float64))


def as_batch(photos: Sequence[Pixels], size: Size) -> NDArray[np.float32]:
    """Photos as (B, 3, *size) in 0..1, resized as training does."""
    height, width = size
    batch = np.empty((len(photos), 3, height, width), dtype=np.float32)
    for pixels, photo in zip(batch, photos, strict=True):
        image = Image.fromarray(photo)
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.LANCZOS)
        fitted = np.asarray(image, dtype=np.float32) / 255
        pixels[:] = fitted if fitted.ndim == 2 else fitted.transpose(2, 0, 1)
    return batch


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m worker.learning.onnx_model")
    parser.add_argument("folder", type=Path, help="where the model and its card lie")
    parser.add_argument("photos", type=Path, nargs="+", metavar="PHOTO")
    parser.add_argument("--file", default=MODEL, metavar="NAME")
    args = parser.parse_args(argv)
    try:
        model = OnnxModel.load(args.folder, file=args.file)
        for photo in args.photos:
            pixels = np.asarray(decode(photo, max_pixels=MOST_PIXELS).picture)
            scores = dict(zip(model.labels, model.predict([pixels])[0].tolist(), strict=True))
            print(json.dumps({"photo": str(photo), "probabilities": scores}, ensure_ascii=False))
    except (OSError, Undecodable, NoSuchFile) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
