"""Part models at work: trained on the photos of all folds but one, they settle what is left open.

What they are for is said in `committee.py`.
"""

import itertools
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from worker.learning.committee import Committee, settled, trials
from worker.learning.draws import derive, shuffled
from worker.learning.evidence import Evidence
from worker.learning.learner import Learner
from worker.learning.plan import Plan, TrainingConfig
from worker.learning.processes import Processes

Rows = NDArray[np.int64]
# A name for checkpoints and draws, labelled rows, plan and configuration to a trained model.
Fit = Callable[[str, Rows, Plan, TrainingConfig], Learner]


@dataclass(frozen=True)
class PartModels:
    """`fit` trains one, `scored` gives its scores of rows over a number of views, `vote_by` is told
    whose held-out scores measure confidence while rounds are tried."""

    labeled: Rows
    plan: Plan
    views: int
    workdir: Path
    processes: Processes
    fit: Fit
    scored: Callable[[Learner, Rows, int], Evidence]
    vote_by: Callable[[Committee], None]

    def convene(self, config: TrainingConfig, *, teaches: bool) -> tuple[Committee, TrainingConfig]:
        """The part models, and the configuration without what it left open.

        `teaches` says that the method has pseudo-labels to try.
        """
        tried = trials(config) if self.plan.committees > 1 else []
        tries_rounds = teaches and self.plan.tries_rounds and config.pseudo_labels is None
        config, fitted = settled(config), "fold"
        best = self._cross_fit(fitted, config, self.plan.of_part)
        for name, change in tried:
            changed = replace(config, **change)
            other = self._cross_fit(f"{name}-fold", changed, self.plan.of_part)
            if other.beats(best, self.views):
                config, best, fitted = changed, other, f"{name}-fold"
        return self._try_rounds(config, best, fitted) if tries_rounds else (best, config)

    def _try_rounds(
        self, config: TrainingConfig, committee: Committee, fitted: str
    ) -> tuple[Committee, TrainingConfig]:
        """Pseudo-labels stay out where part models that learn as long without them are better."""
        self.vote_by(Committee((), committee.held_out))  # confidence is measured, nobody votes
        for name, fold in itertools.product(("taught", "untaught"), range(config.folds)):
            self.processes.after_first(partial(self._go_on, fitted, name, fold))
        without = replace(config, pseudo_labels=False)
        taught = self._cross_fit("taught", config, self.plan.of_part_with_rounds)
        untaught = self._cross_fit("untaught", without, self.plan.of_part_with_rounds)
        return (untaught, without) if untaught.beats(taught, self.views) else (taught, config)

    def _go_on(self, fitted: str, name: str, fold: int) -> None:
        """Let a part model begin where another has ended."""
        target = self.workdir / f"{name}-{fold}.safetensors"
        if not target.exists():
            part = target.with_suffix(".part")
            shutil.copy(self.workdir / f"{fitted}-{fold}.safetensors", part)
            part.replace(target)

    def _cross_fit(self, name: str, config: TrainingConfig, plan: Plan) -> Committee:
        """Models that each train on the photos of all folds but one, and score that one."""
        rows = shuffled(self.labeled, derive(config.seed, "folds"))
        members: list[nn.Module] = []
        seen: dict[int, list[Evidence]] = {config.teacher_views: [], self.views: []}
        for number, held_out in enumerate(np.array_split(rows, config.folds)):
            others = np.setdiff1d(rows, held_out)
            learner = self.fit(f"{name}-{number}", others, plan, config)
            members.append(learner.teacher)
            for views, scored in seen.items():
                scored.append(self.scored(learner, held_out, views))
        scores = {views: tuple(parts) for views, parts in seen.items()}
        return Committee(tuple(members), scores).weighed(self.views)
