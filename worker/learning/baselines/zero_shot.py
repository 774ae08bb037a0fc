"""Zero-shot CLIP (Radford et al., ICML 2021): photos against prompts, nothing is trained.

Once by the pooled feature, as in the paper, and once by Kizu's label-specific attention over the
tokens as it is before training (tokens in the text space as in MaskCLIP, ECCV 2022).
"""

from dataclasses import replace

from worker.learning.baselines.global_alignment import global_head
from worker.learning.method import Method, label_specific
from worker.learning.plan import TrainingConfig


def untrained(config: TrainingConfig) -> TrainingConfig:
    return replace(config, epochs=0, rounds=0)


ZERO_SHOT = Method(
    name="zero-shot",
    source="Radford et al., ICML 2021, arXiv 2103.00020",
    head=global_head,
    rule=None,
    configure=untrained,
)
ZERO_SHOT_TOKENS = replace(
    ZERO_SHOT,
    name="zero-shot-tokens",
    source="Kizu's head before training; tokens as in MaskCLIP, arXiv 2112.01071",
    head=label_specific,
)
