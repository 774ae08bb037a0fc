"""Labels added later: a trained model learns new labels while the others stay as they are.

The model's backbone is frozen, and the new labels get an aligner of their own that starts from
their texts; it is trained, calibrated and judged by the usual loop. Nothing that the other labels
are scored with is touched.
"""

import copy
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from worker.learning.aligner import Aligner, Classifier, Head, LabelSpec, Voice, text_features
from worker.learning.augment import Augmentation
from worker.learning.calibration import Calibration
from worker.learning.card import Growth, ModelCard
from worker.learning.dataset import Split, TrainingSet
from worker.learning.evidence import judge
from worker.learning.grown import aligners_of, joined
from worker.learning.label_noise import Doubtful
from worker.learning.method import KIZU, Contexts, Method
from worker.learning.plan import Mode, TrainingConfig
from worker.learning.predictor import Predictor, TrainedModel
from worker.learning.progress import OnProgress, ShouldStop
from worker.learning.thresholds import Thresholds
from worker.learning.trainer import train


@dataclasses.dataclass(frozen=True)
class Added:
    """What the new labels bring: their aligner, and what a card says of them and of no other."""

    aligner: Aligner
    calibration: Calibration
    thresholds: Thresholds
    metrics: dict[str, Any]
    promises: dict[str, list[dict[str, Any]]]
    config: dict[str, Any]
    doubtful: tuple[Doubtful, ...] = ()


def grow(
    model: Predictor,
    dataset: TrainingSet,
    labels: Sequence[LabelSpec],
    config: TrainingConfig | None = None,
    *,
    origin: str,
    workdir: Path,
    on_progress: OnProgress = lambda _: None,
    should_stop: ShouldStop = lambda: False,
) -> TrainedModel:
    """Teach `model` the labels that it does not know; its probabilities of the others stay equal.

    `labels` are the columns of `dataset`: the model's own in its order, then the new ones.
    `origin` names the model on the card. Of `config` the seed and the length of the training
    count; how photos are looked at is the model's. A label without any annotation is scored by
    its text and suggests nothing. Stops and goes on as `train` does. Raises `ValueError` if
    `labels` do not begin with the model's own, or hold no other.
    """
    known = len(model.card.labels)
    keys = [label.key for label in labels]
    if keys[:known] != [label.key for label in model.card.labels] or len(keys) == known:
        raise ValueError("the labels must be those of the model, in its order, and then new ones")
    new = tuple(labels[known:])
    part = dataclasses.replace(dataset, labels=dataset.labels[:, known:])
    if len(part.rows(Split.TRAIN)):
        added = _learned(
            model,
            part,
            new,
            _configuration(model.card, config or TrainingConfig()),
            origin=origin,
            workdir=workdir,
            on_progress=on_progress,
            should_stop=should_stop,
        )
    else:
        added = _from_text(model, new)
    head = joined([*aligners_of(model.classifier.head), added.aligner])
    classifier = Classifier(
        model.classifier.backbone, head, bf16=model.classifier.bf16, grid=model.card.grid
    )
    card = _card(model.card, new, added, origin, dataset.counts(keys))
    return TrainedModel(classifier.eval(), card, added.doubtful)


def _configuration(card: ModelCard, config: TrainingConfig) -> TrainingConfig:
    return dataclasses.replace(
        config,
        mode=Mode.FROZEN,
        voices=(Voice.PLACES,),
        resolution=card.resolution,
        tiles=card.tiles,
        precision=card.precision,
        augmentation=Augmentation(orientations=card.orientations),
    )


def _learned(
    model: Predictor,
    part: TrainingSet,
    new: Sequence[LabelSpec],
    config: TrainingConfig,
    *,
    origin: str,
    workdir: Path,
    on_progress: OnProgress,
    should_stop: ShouldStop,
) -> Added:
    # A copy: training arranges the weights of its backbone in memory as it likes.
    backbone = copy.deepcopy(model.classifier.backbone)
    trained = train(
        part,
        new,
        backbone,
        config,
        workdir=workdir,
        method=_method(model, origin),
        on_progress=on_progress,
        should_stop=should_stop,
    )
    (aligner,) = aligners_of(trained.classifier.head)
    card = trained.card
    return Added(
        aligner,
        card.calibration,
        card.thresholds,
        card.metrics,
        card.promises,
        card.config,
        trained.doubtful,
    )


def _method(model: Predictor, origin: str) -> Method:
    """Kizu's own, except that the head starts from what the model has learned about tokens."""

    def head(text: Tensor, n_contexts: int, _: NDArray[np.int8]) -> Head:
        return _new_aligner(model, text, n_contexts)

    name = f"{KIZU.name}, new labels of {origin}"
    # A frozen backbone leaves little to choose, and a grown head nothing.
    return dataclasses.replace(
        KIZU, name=name, head=head, contexts=Contexts.NONE, makes_trials=False
    )


def _new_aligner(model: Predictor, text: Tensor, n_contexts: int = 1) -> Aligner:
    first = aligners_of(model.classifier.head)[0]
    aligner = Aligner(text, n_contexts)
    aligner.adapter.load_state_dict(first.adapter.state_dict())
    return aligner


def _from_text(model: Predictor, new: Sequence[LabelSpec]) -> Added:
    """Nobody has annotated any: scores of the texts alone, and no suggestion."""
    text = text_features(new, model.classifier.backbone)
    unknown = judge(None, None, [label.key for label in new], cross_fitted=False)
    return Added(
        _new_aligner(model, text).to(model.device),
        unknown.calibration,
        unknown.thresholds,
        unknown.metrics,
        unknown.promises,
        config={},
    )


def _card(
    card: ModelCard,
    new: Sequence[LabelSpec],
    added: Added,
    origin: str,
    counts: dict[str, Any],
) -> ModelCard:
    """The model's card, with what was found out about the new labels beside it."""
    measured = {name: value for name, value in added.metrics.items() if name != "labels"}
    growth = Growth(tuple(label.key for label in new), origin, measured, added.config)
    return dataclasses.replace(
        card,
        labels=(*card.labels, *new),
        calibration=Calibration(
            card.calibration.curves + added.calibration.curves,
            card.calibration.own + added.calibration.own,
        ),
        thresholds=Thresholds(
            card.thresholds.present + added.thresholds.present,
            card.thresholds.absent + added.thresholds.absent,
        ),
        metrics=_metrics(card.metrics, added.metrics),
        promises=card.promises | added.promises,
        counts=counts,
        grown=(*card.grown, growth),
    )


def _metrics(before: dict[str, Any], added: dict[str, Any]) -> dict[str, Any]:
    """Each label's own figures; of all labels together only their mean, which has no interval:
    they were not measured on the same photos."""
    labels = {**before["labels"], **added["labels"]}
    ap = [figures["ap"]["value"] for figures in labels.values()]
    known = [value for value in ap if value is not None and value == value]
    mean = {"value": float(np.mean(known)), "low": None, "high": None} if known else None
    whole = dict.fromkeys(("cf1", "of1", "ece"))
    return {**before, **whole, "map": mean, "labels": labels}
