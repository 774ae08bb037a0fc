"""A head whose labels did not all come at once: one aligner for each time that labels joined.

They stand side by side on the same features, so a label that joins cannot move the score of
another by a single bit. More rows in one aligner could: the order in which a matrix product adds
up depends on its shape.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from worker.learning.aligner import Aligner, Alignment, Head, Voice
from worker.learning.backbone import ImageFeatures


class Grown(Head):
    """Aligners in the order in which their labels joined; context groups are the first one's."""

    def __init__(self, aligners: Sequence[Aligner]) -> None:
        super().__init__(torch.cat([aligner.text for aligner in aligners]))
        self.aligners = nn.ModuleList(aligners)

    def forward(self, features: ImageFeatures) -> Alignment:
        seen: list[Alignment] = [aligner(features) for aligner in self.aligners]
        return Alignment(
            logits=torch.cat([one.logits for one in seen], dim=1),  # (B, K)
            context_logits=seen[0].context_logits,
            label_features=torch.cat([one.label_features for one in seen], dim=1),  # (B, K, D)
            pooled=seen[0].pooled,
        )


def aligners_of(head: nn.Module) -> list[Aligner]:
    """The aligners of a head in the order of its labels; none if it has another way to look."""
    parts = head.aligners if isinstance(head, Grown) else [head]
    return [part for part in parts if isinstance(part, Aligner)]


def joined(aligners: Sequence[Aligner]) -> Head:
    """One head of all of them."""
    return Grown(aligners) if len(aligners) > 1 else aligners[0]


def empty_head(
    text: Tensor, n_contexts: int, added: Sequence[int], voices: Mapping[Voice, float]
) -> Head:
    """A head to load weights into, for labels of `text` (K, D); `added` says how many joined each
    time, `voices` how much each voice of the first ones counts."""
    first, *later = text.split([len(text) - sum(added), *added])
    own = Aligner(first, n_contexts).hear(tuple(voices)).count(voices)
    return joined([own, *(Aligner(part, 1) for part in later)])
