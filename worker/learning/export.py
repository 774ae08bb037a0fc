"""A trained model as an ONNX file: to predict where there is no PyTorch, on a line's own computer.

The file computes logits; the card beside it turns them into probabilities, so that calibration has
one home. Files are run by `onnx_model.py`.
"""

import copy
import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from onnxruntime import quantization
from torch import Tensor, nn

from worker.learning.adapters import merged
from worker.learning.aligner import Alignment, Classifier
from worker.learning.augment import plain_views
from worker.learning.card import ModelCard
from worker.learning.dataset import Pixels
from worker.learning.onnx_model import CARD, MODEL, as_batch
from worker.learning.predictor import Predictor
from worker.learning.tiling import Grid, Size

OPSET = 18
EIGHT_BITS = "int8.onnx"


class _Logits(nn.Module):
    """Pixels (B, 3, H, W) in 0..1 to logits (B, K), averaged over the card's orientations."""

    def __init__(self, classifier: Classifier, card: ModelCard) -> None:
        super().__init__()
        # Full precision: a processor that a model is exported for may have no bfloat16.
        self.classifier = Classifier(
            merged(classifier.backbone), copy.deepcopy(classifier.head), grid=card.grid
        )
        self.views, self.orientations = card.views, card.orientations

    def forward(self, pixels: Tensor) -> Tensor:
        views = plain_views(pixels, self.orientations, self.views)
        # One batch of all views: a graph that holds the network once instead of once a view.
        seen: Alignment = self.classifier(torch.cat(views))
        logits: Tensor = seen.logits.unflatten(0, (len(views), -1))  # (V, B, K)
        return logits.mean(dim=0)


def export_onnx(predictor: Predictor, folder: Path) -> Path:
    """Write `model.onnx` and `card.json`; returns the former.

    Input `pixels` (B, 3, H, W) in 0..1, the canvas of the card's grid; output `logits` (B, K), any
    B. A tiled model cuts its tiles inside the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    card = predictor.card
    graph = _Logits(predictor.classifier, card).cpu().eval()
    part = folder / f"{MODEL}.part"
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of parts of torch about each other
        program = torch.onnx.export(
            graph,
            (torch.rand(2, 3, *card.grid.canvas),),
            input_names=["pixels"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.save(part)
    part.replace(folder / MODEL)
    card.write(folder / CARD)
    return folder / MODEL


class _Reader:
    """Hands calibration photos to onnxruntime, one at a time."""

    def __init__(self, photos: Sequence[Pixels], size: Size) -> None:
        self._batches = (as_batch([photo], size) for photo in photos)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"pixels": batch}


def quantize(folder: Path, photos: Sequence[Pixels]) -> Path:
    """Write `int8.onnx` beside an exported model; returns it.

    Convolutions compute in 8 bits, one scale for each channel of weights; the ranges of
    activations are those met on `photos`, 100 or so as they come from the line (static
    quantization, Jacob et al., 2018). The head keeps full precision: it costs little time and
    decides everything. What it costs in accuracy has to be measured: see "Light on premises" in
    `benchmarks/RESULTS.md`. Raises `ValueError` without photos.
    """
    if not photos:
        raise ValueError("ranges of activations need photos")
    grid = Grid.of_card(json.loads((folder / CARD).read_text()))
    part = folder / f"{EIGHT_BITS}.part"
    quantization.quantize_static(
        folder / MODEL,
        part,
        _Reader(photos, grid.canvas),
        quant_format=quantization.QuantFormat.QDQ,
        op_types_to_quantize=["Conv"],
        per_channel=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        calibrate_method=quantization.CalibrationMethod.MinMax,
    )
    part.replace(folder / EIGHT_BITS)
    return folder / EIGHT_BITS
