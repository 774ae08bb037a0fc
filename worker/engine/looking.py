"""One model's predictions for photos named by their content, batch by batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from worker.engine.feature_store import FeatureStore, Kind
from worker.engine.photos import PhotoReader
from worker.learning.backbone import ImageFeatures
from worker.learning.plan import Mode
from worker.learning.predictor import Predictions, Predictor

BATCH = 32


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
        parts = []
        for first in range(0, len(contents), BATCH):
            before_batch(first / len(contents))
            batch = contents[first : first + BATCH]
            features = self._features(batch)
            if features is None:
                parts.append(self.predictor.predict(self.photos(one) for one in batch))
            else:
                parts.append(self.predictor.predict(features))
        return Predictions(
            probabilities=np.concatenate([part.probabilities for part in parts]),
            context=np.concatenate([part.context for part in parts]),
            uncertainty=np.concatenate([part.uncertainty for part in parts]),
            embedding=np.concatenate([part.embedding for part in parts]),
        )

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
