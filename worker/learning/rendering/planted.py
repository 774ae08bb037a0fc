"""Packs with planted contexts: kinds of defects that occur together, most of them hard to see.

A photo shows one group of kinds, seldom two or none. The first kind of a group is plain, the others
are faint: who has seen the plain one can guess the rest. The surface is drawn by itself, so that
nothing but the defects tells a group.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from worker.learning.rendering.pack import PACK_STREAM, write_pack, write_table
from worker.learning.rendering.scenes import SURFACE_KINDS, Render, render_surface
from worker.learning.rendering.textures import RNG

PHOTO_SIZE = 128
GROUP_SIZE = 3
MOST_GROUPS = len(SURFACE_KINDS) // GROUP_SIZE
GROUPS_SHOWN = (0.2, 0.65, 0.15)  # chances of no, one and two groups
TOGETHER, ASTRAY = 0.75, 0.03  # chances of a kind whose group is shown, or is not
FAINT = 0.3
README = """# Rendered photos with planted contexts

{groups} groups of {size} kinds of defects occur together; `contexts.tsv` says which, and which
kinds are faint: painted at {faint:.0%} of their usual strength. A kind occurs in {together:.0%} of
the photos that show its group and in {astray:.0%} of the others. Written by

    python -m worker.learning.rendering OUT --train {train} --test {test} --seed {seed} \\
        --contexts {groups}
"""


@dataclass(frozen=True)
class Planting:
    """Which kinds belong together: the first of each group is plain, the others are faint."""

    groups: tuple[tuple[str, ...], ...]

    @classmethod
    def draw(cls, seed: int, count: int) -> "Planting":
        """`count` groups of three surface kinds. Raises `ValueError` if there are not as many."""
        if not 2 <= count <= MOST_GROUPS:
            raise ValueError(f"there can be 2 to {MOST_GROUPS} contexts, not {count}")
        drawn = np.random.default_rng((PACK_STREAM, seed)).permutation(SURFACE_KINDS)
        groups = drawn[: count * GROUP_SIZE].reshape(count, GROUP_SIZE)
        return cls(tuple(tuple(str(kind) for kind in group) for group in groups))

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(kind for group in self.groups for kind in group)

    @property
    def opacity(self) -> dict[str, float]:
        """How strongly the faint kinds are painted."""
        return {kind: FAINT for group in self.groups for kind in group[1:]}

    def photo(self, seed: int, index: int) -> Render:
        rng = np.random.default_rng((PACK_STREAM, seed, index))
        return render_surface(rng, PHOTO_SIZE, self._defects(rng), opacity=self.opacity)

    def _defects(self, rng: RNG) -> list[str]:
        count = int(rng.choice(len(GROUPS_SHOWN), p=GROUPS_SHOWN))
        shown = rng.choice(len(self.groups), count, replace=False)
        return [
            kind
            for number, group in enumerate(self.groups)
            for kind in group
            if rng.random() < (TOGETHER if number in shown else ASTRAY)
        ]


def render_planted_pack(
    directory: Path, *, train: int, test: int, seed: int, contexts: int
) -> None:
    """A pack as `render_pack` writes it, with the planted groups in `contexts.tsv` and a README.

    Raises `ValueError` if there are not enough kinds for as many contexts.
    """
    planting = Planting.draw(seed, contexts)
    photos = (planting.photo(seed, index) for index in range(train + test))
    write_pack(directory, photos, kinds=planting.kinds, train=train)
    rows = [
        (kind, str(number), "faint" if kind in planting.opacity else "plain")
        for number, group in enumerate(planting.groups)
        for kind in group
    ]
    write_table(directory / "contexts.tsv", "\t", [("label", "context", "look"), *rows])
    text = README.format(
        groups=contexts,
        size=GROUP_SIZE,
        faint=FAINT,
        together=TOGETHER,
        astray=ASTRAY,
        train=train,
        test=test,
        seed=seed,
    )
    (directory / "README.md").write_text(text, encoding="utf-8")
