"""A trained model on disk and in use: photos in, calibrated probabilities out.

The same code evaluates a model after training, so that what was measured is what predicts.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor, nn

from worker.learning import checkpoint
from worker.learning.aligner import Aligner, Classifier
from worker.learning.backbone import Backbone, ImageFeatures, load_backbone, untrained
from worker.learning.card import ModelCard
from worker.learning.dataset import Pixels, fit_photo
from worker.learning.explanation import Basis, HeatMaps, heat_maps
from worker.learning.learner import LOOK_BATCH, Look, see
from worker.learning.plan import Mode, Precision
from worker.learning.thresholds import PseudoLabels, Thresholds, select
from worker.learning.tiling import Size

Scores = NDArray[np.float64]

WEIGHTS, CARD = "model.safetensors", "card.json"


@dataclass(frozen=True)
class Predictions:
    """`probabilities` (N, K) calibrated, `context` (N, C) in 0..1, `uncertainty` (N,) in 0..1,
    `embedding` (N, D) of unit length."""

    probabilities: Scores
    context: Scores
    uncertainty: Scores
    embedding: NDArray[np.float32]

    def pseudo_labels(self, thresholds: Thresholds) -> PseudoLabels:
        return select(self.probabilities, thresholds)


def predictions(seen: Look, card: ModelCard) -> Predictions:
    """Calibrated predictions from what a model saw."""
    probabilities = card.calibration(seen.logits)
    return Predictions(
        probabilities=probabilities,
        context=np.asarray(expit(seen.context_logits)),
        uncertainty=binary_entropy(probabilities).mean(axis=1),
        embedding=seen.embedding,
    )


def binary_entropy(probabilities: Scores) -> Scores:
    """Entropy in bits of each yes-or-no answer: 1 at 0.5, 0 at certainty."""
    p = probabilities.clip(1e-12, 1 - 1e-12)
    return np.asarray(-(p * np.log2(p) + (1 - p) * np.log2(1 - p)))


class Predictor:
    """Predicts with one model version, on the device of its backbone."""

    def __init__(self, classifier: Classifier, card: ModelCard) -> None:
        self.classifier = classifier.eval()
        self.card = card
        self.device = classifier.head.text.device

    @classmethod
    def load(cls, folder: Path, *, backbone: Backbone | None = None, device: str = "cpu") -> Self:
        """A model written by `TrainedModel.save`.

        `backbone` spares loading it again where it is at hand; a tuned model takes it over and
        changes its weights.
        """
        card = ModelCard.read(folder / CARD)
        tensors, _ = checkpoint.load(folder / WEIGHTS)
        if backbone is None:
            backbone = _backbone(card)
        text = tensors["head.text"]
        classifier = Classifier(
            backbone,
            Aligner(text, card.contexts.count),
            bf16=card.precision is Precision.BF16,
            grid=card.grid,
        )
        classifier.head.load_state_dict(checkpoint.under("head", tensors))
        if card.mode is Mode.TUNE:
            classifier.backbone.load_state_dict(checkpoint.under("backbone", tensors))
        elif backbone.version != card.backbone_version:
            raise ValueError(
                f"the model was trained on {card.backbone} {card.backbone_version}, "
                f"not on {backbone.version}"
            )
        return cls(classifier.to(device), card)

    def predict(self, photos: Iterable[Pixels] | ImageFeatures) -> Predictions:
        """Predictions for photos (H, W) or (H, W, 3) of any size, or for cached features.

        Photos are taken one by one and let go once they are resized.
        """
        return predictions(self.look(photos), self.card)

    @torch.inference_mode()
    def look(self, photos: Iterable[Pixels] | ImageFeatures) -> Look:
        """What the model sees, before calibration."""
        model: nn.Module = self.classifier
        views, orientations = self.card.views, self.card.orientations
        batches: Iterable[Tensor | ImageFeatures] = (
            [photos] if isinstance(photos, ImageFeatures) else self._batches(photos)
        )
        seen = [see(model, batch, views, orientations) for batch in batches]
        return Look(
            logits=_array([one.logits for one in seen]),
            context_logits=_array([one.context_logits for one in seen]),
            embedding=_array([one.pooled for one in seen]).astype(np.float32),
        )

    def explain(self, photos: Iterable[Pixels], basis: Basis = Basis.BOTH) -> HeatMaps:
        """Where each label is seen on photos of any size; maps cover the whole photo."""
        maps = [
            heat_maps(self.classifier.head, self._tokens(batch), self.card.grid, basis)
            for batch in self._batches(photos)
        ]
        return HeatMaps(np.concatenate([part.values for part in maps]))

    @torch.inference_mode()
    def _tokens(self, pixels: Tensor) -> Tensor:
        return self.classifier.encode(pixels).tokens

    def _batches(self, photos: Iterable[Pixels]) -> Iterator[Tensor]:
        grid = self.card.grid
        fitted = (as_pixels(photo, grid.canvas) for photo in photos)
        while batch := list(itertools.islice(fitted, grid.photos_within(LOOK_BATCH))):
            yield torch.stack(batch)


def as_pixels(photo: Pixels, size: Size) -> Tensor:
    """A photo as (3, *size) in 0..1."""
    fitted = torch.from_numpy(np.array(fit_photo(photo, size)))
    channels = fitted[None] if fitted.ndim == 2 else fitted.permute(2, 0, 1)
    return channels.float().div(255).expand(3, *size)


def _array(parts: list[Tensor]) -> Scores:
    return torch.cat(parts).double().cpu().numpy()


def _backbone(card: ModelCard) -> Backbone:
    """The architecture alone for a tuned model, which brings its own weights."""
    return untrained(card.backbone) if card.mode is Mode.TUNE else load_backbone(card.backbone)


@dataclass(frozen=True)
class TrainedModel:
    """The outcome of a training."""

    classifier: Classifier
    card: ModelCard

    def save(self, folder: Path) -> None:
        """Write `model.safetensors` and `card.json`; the tuned backbone is among the weights."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = checkpoint.prefixed("head", self.classifier.head.state_dict())
        if self.card.mode is Mode.TUNE:
            tensors |= checkpoint.prefixed("backbone", self.classifier.backbone.state_dict())
        checkpoint.save(folder / WEIGHTS, tensors, {"backbone": self.card.backbone})
        self.card.write(folder / CARD)

    def predictor(self) -> Predictor:
        return Predictor(self.classifier, self.card)
