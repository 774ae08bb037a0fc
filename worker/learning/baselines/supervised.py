"""Supervised only: human labels and nothing else, as many steps as the others take, Kizu's head.

The upper bound is the same with every train photo labelled, whatever the share of the others. Its
steps follow the same rule from the number of labelled photos (`plan.make_plan`).
"""

from dataclasses import replace

from worker.learning.losses import Loss
from worker.learning.method import Method, label_specific

SUPERVISED_BCE = Method(
    name="supervised-bce",
    source="binary cross-entropy on the labelled photos",
    head=label_specific,
    rule=None,
)
SUPERVISED_ASL = Method(
    name="supervised-asl",
    source="Ridnik et al., Asymmetric Loss, ICCV 2021, arXiv 2009.14119",
    head=label_specific,
    rule=None,
    configure=lambda config: replace(config, loss=Loss.ASYMMETRIC),
)
UPPER_BOUND = replace(
    SUPERVISED_BCE, name="upper-bound", source="binary cross-entropy, all photos labelled"
)
