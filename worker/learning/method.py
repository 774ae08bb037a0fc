"""A way to learn from few labels: the parts that the training loop leaves open.

`KIZU` is what the service trains with. Rivals and ablations, for comparison on the same backbone
and the same loop, are in `baselines/`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from worker.learning.aligner import Aligner, Head
from worker.learning.committee import settled
from worker.learning.contexts import ContextGroups, find_contexts, shuffled_groups
from worker.learning.plan import TrainingConfig, usual_voices
from worker.learning.pseudo_labeling import Rule, calibrated_class_aware

# Text features (K, D), number of context groups, human labels (N, K) to a new head.
MakeHead = Callable[[Tensor, int, NDArray[np.int8]], Head]


class Contexts(StrEnum):
    """Which groups of labels the auxiliary task is about."""

    FOUND = "found"
    NONE = "none"
    SHUFFLED = "shuffled"  # as large as the found ones, but drawn by lot


@dataclass(frozen=True)
class Method:
    """`rule` makes the pseudo-labels; without one only human labels are learned.

    `measures_confidence` says that the rule, or the outcome, rests on held-out labels: where none
    are set aside, they are made by cross-fitting; with `makes_trials` part models also settle what
    the configuration leaves open (committee.py). `configure` is the method's own part of the
    configuration, its loss for example. `source` is where it was published.
    """

    name: str
    source: str
    head: MakeHead
    rule: Rule | None
    contexts: Contexts = Contexts.NONE
    measures_confidence: bool = False
    makes_trials: bool = False
    configure: Callable[[TrainingConfig], TrainingConfig] = lambda config: config

    def configured(self, config: TrainingConfig) -> TrainingConfig:
        """The configuration as this method trains with it."""
        own = self.configure(config)
        return own if self.makes_trials else settled(own)

    def groups(
        self, labels: NDArray[np.int8], keys: Sequence[str], config: TrainingConfig
    ) -> ContextGroups:
        """The context groups of human labels (N, K), as this method wants them."""
        count = 1 if self.contexts is Contexts.NONE else config.n_contexts
        prior = config.context_prior
        found = find_contexts(labels, keys, count=count, prior=prior, seed=config.seed)
        if self.contexts is Contexts.SHUFFLED:
            return shuffled_groups(found, keys, config.seed)
        return found


def label_specific(text: Tensor, n_contexts: int, labels: NDArray[np.int8]) -> Head:
    """Kizu's own head."""
    return Aligner(text, n_contexts)


def all_voices(config: TrainingConfig) -> TrainingConfig:
    """Every voice speaks that the mode can afford, unless some are named."""
    return replace(config, voices=config.voices or usual_voices(config.mode))


KIZU = Method(
    name="kizu",
    source="docs/explanation/method.md",
    head=label_specific,
    rule=calibrated_class_aware,
    contexts=Contexts.FOUND,
    measures_confidence=True,
    makes_trials=True,
    configure=all_voices,
)
