"""`python -m worker.learning.rendering OUT --train N --test N --seed S` writes a photo pack."""

import argparse
from pathlib import Path

from worker.learning.rendering.pack import render_pack


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m worker.learning.rendering",
        description="Write a pack of rendered factory photos.",
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--train", type=int, default=300)
    parser.add_argument("--test", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    render_pack(given.out, train=given.train, test=given.test, seed=given.seed)


if __name__ == "__main__":
    main()
