"""`python -m worker.learning.rendering OUT --train N --test N --seed S` writes a photo pack."""

import argparse
from pathlib import Path

from worker.learning.rendering.pack import render_pack
from worker.learning.rendering.planted import MOST_GROUPS, render_planted_pack


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m worker.learning.rendering",
        description="Write a pack of rendered factory photos.",
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--train", type=int, default=300)
    parser.add_argument("--test", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--contexts",
        type=int,
        choices=range(2, MOST_GROUPS + 1),
        help="plant as many groups of defects that occur together",
    )
    given = parser.parse_args()
    size = {"train": given.train, "test": given.test, "seed": given.seed}
    if given.contexts is None:
        render_pack(given.out, **size)
    else:
        render_planted_pack(given.out, **size, contexts=given.contexts)


if __name__ == "__main__":
    main()
