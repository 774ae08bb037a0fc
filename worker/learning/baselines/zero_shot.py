"""Zero-shot CLIP (Radford et al., ICML 2021): photos against prompts, nothing is trained."""

from dataclasses import replace

from worker.learning.baselines.global_alignment import global_head
from worker.learning.method import Method

ZERO_SHOT = Method(
    name="zero-shot",
    source="Radford et al., ICML 2021, arXiv 2103.00020",
    head=global_head,
    rule=None,
    configure=lambda config: replace(config, epochs=0, rounds=0),
)
