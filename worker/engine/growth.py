"""A snapshot beside the version that is to learn its new labels: whose column is which."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from app.training.service import NoNewLabel
from app.training.snapshots import LabelColumn, Snapshot
from worker.learning.aligner import LabelSpec
from worker.learning.plan import TrainingConfig
from worker.learning.predictor import Predictor


def spec(label: LabelColumn) -> LabelSpec:
    return LabelSpec(label.key, label.prompts, label.miss_cost)


@dataclass(frozen=True)
class Columns:
    """The model's labels in its own order, then the new ones."""

    model: Predictor
    labels: tuple[LabelSpec, ...]
    label_ids: list[UUID]


def beside(snapshot: Snapshot, predictor: Predictor, known: Sequence[UUID]) -> Columns:
    """The columns of a growth from a model whose labels are `known`.

    The model's labels keep their texts and take the keys that they have now. Raises `NoNewLabel`
    where the snapshot holds no other label.
    """
    new = [label for label in snapshot.labels if label.id not in known]
    if not new:
        raise NoNewLabel("The new labels were archived before the training began.")
    keys = {label.id: label.key for label in snapshot.labels}
    own = tuple(
        dataclasses.replace(label, key=keys.get(label_id, label.key))
        for label_id, label in zip(known, predictor.card.labels, strict=True)
    )
    card = dataclasses.replace(predictor.card, labels=own)
    return Columns(
        Predictor(predictor.classifier, card),
        (*own, *(spec(label) for label in new)),
        [*known, *(label.id for label in new)],
    )


def looking_like(predictor: Predictor, config: TrainingConfig) -> TrainingConfig:
    """The configuration with the model's own way to look at photos."""
    card = predictor.card
    return dataclasses.replace(
        config,
        mode=card.mode,
        resolution=card.resolution,
        tiles=card.tiles,
        precision=card.precision,
    )
