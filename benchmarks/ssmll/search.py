"""The same small search for every method, on labels held out from the labelled share.

On one draw, a fifth of the labelled photos only measures: each point of the grid is trained on the
rest, and the one of greatest mAP on the fifth is kept in a file that later runs follow.
"""

from typing import Any

import numpy as np

from benchmarks.ssmll.bench import Bench
from benchmarks.ssmll.runs import Follow, Unit
from benchmarks.ssmll.scores import logits, rounded
from benchmarks.ssmll.study import Study, write
from worker.learning.baselines import METHODS
from worker.learning.method import Method
from worker.learning.metrics import mean_average_precision
from worker.learning.plan import TrainingConfig

HELD_OUT = 0.2
RATES = (1.0, 0.5)  # of the learning rates
UNLABELED = (1.0, 0.5)  # of the weight of unlabelled photos

Point = dict[str, float]


def grid(method: Method, config: TrainingConfig) -> list[Point]:
    """Settings to try; without pseudo-labels their weight changes nothing and is left out."""
    rates = [{"lr": config.lr * rate, "head_lr": config.head_lr * rate} for rate in RATES]
    if method.rule is None:
        return rates
    weights = [config.lambda_unlabeled * share for share in UNLABELED]
    return [{**rate, "lambda_unlabeled": weight} for rate in rates for weight in weights]


def searchable(method: Method) -> bool:
    """Whether it is trained at all."""
    return method.configured(TrainingConfig()).epochs != 0


def search(study: Study, unit: Unit, follow: Follow) -> None:
    """Search for the methods of a unit, whose draw holds labels out."""
    draw = unit.draw
    bench = Bench(draw, study.load(draw.seed), study.config(draw.seed), study.scratch, follow)
    for name in unit.methods:
        method, file = METHODS[name], study.search_file(draw, METHODS[name])
        if not file.exists():
            points = grid(method, bench.config)
            write(file, _describe(study, bench, method, points))
            for point in points:
                bench.forget(method, point)


def _describe(study: Study, bench: Bench, method: Method, points: list[Point]) -> dict[str, Any]:
    draw = bench.draw
    learned, held_out = draw.rows()
    found = []
    for point in points:
        seen = logits(bench.train(method, point).model, draw.pack, held_out)
        found.append(mean_average_precision(seen, draw.pack.labels[held_out]))
    return {
        "pack": draw.pack.name,
        "share": draw.share,
        "mode": study.mode,
        "method": method.name,
        "seed": draw.seed,
        "backbone": study.backbone_name,
        "backbone_version": bench.backbone.version,
        "changed": study.changed,
        "photos": {"trained": len(learned), "held_out": len(held_out)},
        "tried": [{**p, "map": rounded(value)} for p, value in zip(points, found, strict=True)],
        "chosen": points[int(np.argmax(found))],
    }
