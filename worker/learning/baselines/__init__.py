"""Rivals and ablations, each named after its paper, on Kizu's backbone, loop and budget.

`METHODS` lists them by name; `python -m benchmarks.ssmll` runs them. The service never uses them.
"""

from worker.learning.baselines.ablations import ABLATIONS
from worker.learning.baselines.cap import CAP
from worker.learning.baselines.d2l import D2L
from worker.learning.baselines.dicap import DICAP
from worker.learning.baselines.dualcoop import DUALCOOP
from worker.learning.baselines.fixmatch import FIXMATCH
from worker.learning.baselines.global_alignment import GLOBAL_ALIGNMENT
from worker.learning.baselines.linear_probe import LINEAR_PROBE
from worker.learning.baselines.ml_decoder import ML_DECODER
from worker.learning.baselines.ml_gcn import ML_GCN
from worker.learning.baselines.supervised import SUPERVISED_ASL, SUPERVISED_BCE, UPPER_BOUND
from worker.learning.baselines.ups import UPS
from worker.learning.baselines.zero_shot import ZERO_SHOT, ZERO_SHOT_TOKENS
from worker.learning.method import KIZU, Method

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        KIZU,
        ZERO_SHOT,
        ZERO_SHOT_TOKENS,
        LINEAR_PROBE,
        SUPERVISED_BCE,
        SUPERVISED_ASL,
        UPPER_BOUND,
        GLOBAL_ALIGNMENT,
        ML_GCN,
        ML_DECODER,
        DUALCOOP,
        FIXMATCH,
        CAP,
        D2L,
        DICAP,
        UPS,
        *ABLATIONS,
    )
}
