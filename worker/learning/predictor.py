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
from torch import Tensor

from worker.learning import checkpoint
from worker.learning.adapters import adapted, adapter_state, frozen_state
from worker.learning.aligner import Alignment, Classifier
from worker.learning.augment import plain_views
from worker.learning.backbone import Backbone, ImageFeatures, load_backbone, untrained
from worker.learning.card import ModelCard
from worker.learning.dataset import Pixels, fit_photo
from worker.learning.explanation import Basis, HeatMaps, heat_maps
from worker.learning.group_evidence import GroupEvidence
from worker.learning.grown import aligners_of, empty_head
from worker.learning.label_noise import Doubtful
from worker.learning.learner import LOOK_BATCH, TOKEN_BATCH, Look, averaged, joined_look
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

    @property
    def margin(self) -> Scores:
        """How far the least clear label is from even odds: (N,) in 0..0.5, 0 the closest call.

        Margin sampling (Scheffer et al., IDA 2001) for yes-or-no answers: min_k |p_k - 1/2|.
        """
        return np.asarray(np.abs(self.probabilities - 0.5).min(axis=1))

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

        `backbone` spares loading it again where it is at hand; a model that brings its own takes
        it over and changes its weights. Raises `ValueError` if it is not the one that the model
        was trained on.
        """
        card = ModelCard.read(folder / CARD)
        tensors, _ = checkpoint.load(folder / WEIGHTS)
        if backbone is None:
            backbone = _backbone(card)
        if not card.brings_backbone and backbone.version != card.backbone_version:
            raise ValueError(
                f"the model was trained on {card.backbone} {card.backbone_version}, "
                f"not on {backbone.version}"
            )
        if card.adapters is not None:
            backbone = adapted(backbone, card.adapters)
        text = tensors["head.text"]
        added = [len(one.labels) for one in card.grown]
        head = empty_head(text, card.contexts.count, added, card.voices)
        mix = GroupEvidence(card.contexts, card.group_weight).mix
        aligners_of(head)[0].mix.copy_(torch.from_numpy(mix))
        classifier = Classifier(
            backbone, head, bf16=card.precision is Precision.BF16, grid=card.grid
        )
        classifier.head.load_state_dict(checkpoint.under("head", tensors))
        if card.mode is Mode.TUNE:
            stored = checkpoint.under("backbone", tensors)
            kept = frozen_state(backbone) if card.adapters else {}
            classifier.backbone.load_state_dict({**kept, **stored})
        return cls(classifier.to(device), card)

    def predict(self, photos: Iterable[Pixels] | ImageFeatures) -> Predictions:
        """Predictions for photos (H, W) or (H, W, 3) of any size, or for cached features.

        Photos are taken one by one and let go once they are resized.
        """
        return predictions(self.look(photos), self.card)

    @torch.inference_mode()
    def look(self, photos: Iterable[Pixels] | ImageFeatures) -> Look:
        """What the model sees, before calibration."""
        if isinstance(photos, ImageFeatures):
            return joined_look([self.classifier(batch) for batch in self._token_batches(photos)])
        return joined_look([self._see(batch)[0] for batch in self._batches(photos)])

    @torch.inference_mode()
    def look_with_tokens(self, photos: Iterable[Pixels] | ImageFeatures) -> tuple[Look, Tensor]:
        """The same with the patch tokens (N, V * L, D) that heat maps are made of."""
        if isinstance(photos, ImageFeatures):
            return self.look(photos), photos.tokens
        alignments, tokens = zip(*map(self._see, self._batches(photos)), strict=True)
        return joined_look(alignments), torch.cat(tokens)

    def _see(self, pixels: Tensor) -> tuple[Alignment, Tensor]:
        """A batch averaged over its views, and the tokens of the plain one."""
        plain, *others = plain_views(pixels, self.card.orientations, self.card.views)
        features = self.classifier.encode(plain)
        seen = [self.classifier(view) for view in (features, *others)]
        return averaged(seen), features.tokens

    @torch.inference_mode()
    def explain(self, photos: Iterable[Pixels], basis: Basis = Basis.BOTH) -> HeatMaps:
        """Where each label is seen on photos of any size; maps cover the whole photo."""
        head, grid = self.classifier.head, self.card.grid
        maps = [
            heat_maps(head, self.classifier.encode(batch).tokens, grid, basis)
            for batch in self._batches(photos)
        ]
        return HeatMaps(np.concatenate([part.values for part in maps]))

    def _token_batches(self, features: ImageFeatures) -> list[ImageFeatures]:
        bf16 = self.card.precision is Precision.BF16
        parts = zip(
            features.tokens.split(TOKEN_BATCH), features.pooled.split(TOKEN_BATCH), strict=True
        )
        return [ImageFeatures(*part).at_precision(bf16) for part in parts]

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


def _backbone(card: ModelCard) -> Backbone:
    """The architecture alone for a model that brings all its weights."""
    return untrained(card.backbone) if card.brings_backbone else load_backbone(card.backbone)


@dataclass(frozen=True)
class TrainedModel:
    """The outcome of a training, and answers of people that it finds doubtful.

    Those are about photos and not about the model, so they are not saved with it.
    """

    classifier: Classifier
    card: ModelCard
    doubtful: tuple[Doubtful, ...] = ()

    def save(self, folder: Path) -> None:
        """Write `model.safetensors` and `card.json`; what was tuned is among the weights."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = checkpoint.prefixed("head", self.classifier.head.state_dict())
        if self.card.mode is Mode.TUNE:
            backbone = self.classifier.backbone
            state = adapter_state(backbone) if self.card.adapters else backbone.state_dict()
            tensors |= checkpoint.prefixed("backbone", state)
        checkpoint.save(folder / WEIGHTS, tensors, {"backbone": self.card.backbone})
        self.card.write(folder / CARD)

    def predictor(self) -> Predictor:
        return Predictor(self.classifier, self.card)
