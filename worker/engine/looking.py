"""One model's predictions for photos named by their content, batch by batch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worker.engine.feature_store import FeatureStore, Kind
from worker.engine.photos import PhotoReader
from worker.learning.backbone import ImageFeatures
from worker.learning.explanation import heat_maps, png
from worker.learning.plan import Mode
from worker.learning.predictor import Predictions, Predictor, predictions
from worker.learning.thresholds import PRESENT, Thresholds

BATCH = 32
Pictures = dict[int, bytes]  # the heat map of a photo's label, by its column, as a PNG


@dataclass(frozen=True)
class Looker:
    """Reads tokens where a frozen model finds them in the store, and decodes photos elsewhere.

    Prediction adds nothing to the store: it sees each photo once, trainings see theirs often.
    """

    predictor: Predictor
    photos: PhotoReader
    tokens: FeatureStore

    def look(
        self, contents: Sequence[str], *, before_batch: Callable[[float], None]
    ) -> Predictions:
        """Predictions for at least one photo, in the order of `contents`; `before_batch` is told
        the share that is done."""
        return _joined([seen for seen, _ in self._batches(contents, before_batch)])

    def look_and_explain(
        self,
        contents: Sequence[str],
        thresholds: Thresholds,
        wanted: NDArray[np.bool_],
        *,
        before_batch: Callable[[float], None],
    ) -> tuple[Predictions, list[Pictures]]:
        """The same, and a heat map of every label that is likely present on `wanted` photos (N,).

        Maps are made of the tokens that the prediction saw.
        """
        parts: list[Predictions] = []
        pictures: list[Pictures] = []
        for seen, tokens in self._batches(contents, before_batch):
            first = len(pictures)
            present = seen.pseudo_labels(thresholds).value == PRESENT
            present &= wanted[first : first + len(tokens), None]
            parts.append(seen)
            pictures += self._pictures(tokens, present)
        return _joined(parts), pictures

    def _batches(
        self, contents: Sequence[str], before_batch: Callable[[float], None]
    ) -> Iterator[tuple[Predictions, Tensor]]:
        """Predictions and tokens (B, L, D), batch by batch."""
        for first in range(0, len(contents), BATCH):
            before_batch(first / len(contents))
            batch = contents[first : first + BATCH]
            photos = self._features(batch) or (self.photos(one) for one in batch)
            look, tokens = self.predictor.look_with_tokens(photos)
            yield predictions(look, self.predictor.card), tokens

    def _pictures(self, tokens: Tensor, present: NDArray[np.bool_]) -> list[Pictures]:
        """Maps of the labels that are `present` (B, K) on photos with tokens (B, V * L, D)."""
        rows = np.flatnonzero(present.any(axis=1))
        pictures: list[Pictures] = [{} for _ in present]
        if len(rows):
            head, grid = self.predictor.classifier.head, self.predictor.card.grid
            maps = heat_maps(head, tokens[torch.from_numpy(rows)], grid)
            for row, of_labels in zip(rows, maps.values, strict=True):
                columns = np.flatnonzero(present[row]).tolist()
                pictures[row] = {column: png(of_labels[column]) for column in columns}
        return pictures

    def _features(self, contents: Sequence[str]) -> ImageFeatures | None:
        """Stored features of all these photos; None if any is missing."""
        card = self.predictor.card
        if card.mode is not Mode.FROZEN:
            return None
        kind = Kind(card.backbone_version, card.grid, card.precision)
        stored = [self.tokens.get(kind, one) for one in contents]
        found = [one for one in stored if one is not None]
        if len(found) < len(contents):
            return None
        return ImageFeatures(
            tokens=torch.from_numpy(np.stack([tokens for tokens, _ in found])),
            pooled=torch.from_numpy(np.stack([pooled for _, pooled in found])),
        )


def _joined(parts: Sequence[Predictions]) -> Predictions:
    return Predictions(
        probabilities=np.concatenate([part.probabilities for part in parts]),
        context=np.concatenate([part.context for part in parts]),
        uncertainty=np.concatenate([part.uncertainty for part in parts]),
        embedding=np.concatenate([part.embedding for part in parts]),
    )
