"""Compare methods that learn from few labels: same backbone, loop, steps and label draws.

    python -m benchmarks.ssmll --pack PACK --labeled 0.05,0.1 --seeds 3 [--methods kizu,cap,...]
    python -m benchmarks.ssmll --table

PACK is a folder or a zip in the pack layout, or LAYOUT:FOLDER for the papers' own data (voc2007,
voc2012, coco2014, nus-wide). A share of its train photos keeps its labels, the rest is unlabelled;
the test split is scored once, after the last step, and nothing is chosen on it.

Each finished run is a small JSON file in --out, and a run that has its file is not repeated: the
same command, called again, goes on where it was stopped, with larger shares, more seeds or methods
the table grows. What the figures in a file mean is said in `benchmarks/ssmll/scores.py`.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import torch

from benchmarks.datasets import LAYOUTS, UnreadableData, read
from benchmarks.settings import change
from benchmarks.ssmll.runs import OtherRuns, compare, run_all, units
from benchmarks.ssmll.search import HELD_OUT, search, searchable
from benchmarks.ssmll.study import Draw, Study
from benchmarks.ssmll.tables import write_tables
from worker.learning.backbone import UnsupportedBackbone, WeightsMissing, load_backbone
from worker.learning.baselines import METHODS
from worker.learning.plan import Mode
from worker.learning.sources import KIZU_SMALL, resolve_source

RESULTS = Path(__file__).parents[1] / "results" / "ssmll"


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def parser() -> Parser:
    parser = Parser(
        prog="python -m benchmarks.ssmll",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pack", help=f"folder, zip, or {', '.join(LAYOUTS)}:FOLDER")
    parser.add_argument("--labeled", type=shares, default=[0.1], metavar="SHARE,...")
    parser.add_argument("--methods", type=methods, default=list(METHODS), metavar="NAME,...")
    parser.add_argument("--seeds", type=positive, default=1, metavar="N", help="0 to N - 1")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR")
    parser.add_argument("--scratch", type=Path, help="unfinished work; default: DIR/.scratch")
    parser.add_argument("--mode", choices=list(Mode), default=Mode.AUTO)
    parser.add_argument("--jobs", type=positive, default=1, metavar="N", help="processes")
    parser.add_argument("--backbone", default=KIZU_SMALL, metavar="NAME")
    parser.add_argument("--untrained", action="store_true", help="its weights drawn by the seed")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--set", type=change, action="append", default=[], metavar="NAME=JSON")
    parser.add_argument("--search", action="store_true", help="choose rates for each method first")
    parser.add_argument("--table", action="store_true", help="tables and plots of what is there")
    return parser


def shares(text: str) -> list[float]:
    found = [float(part) for part in text.split(",")]
    if not all(0 < share <= 1 for share in found):
        raise argparse.ArgumentTypeError("shares of labels lie above 0 and up to 1")
    return found


def methods(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in METHODS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"no method {unknown[0]!r}; there are {', '.join(METHODS)}"
        )
    return names


def positive(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return int(text)


def study_of(args: argparse.Namespace) -> Study:
    """What the command line asks for. Raises `ValueError` and what backbones raise."""
    if args.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("there is no GPU that torch can use")
    changed = dict(args.set)
    for name, why in (
        ("time_budget_seconds", "runs are compared by steps: set epochs and rounds"),
        ("seed", "give --seeds"),
        ("mode", "give --mode"),
    ):
        if name in changed:
            raise ValueError(f"{name} cannot be set here: {why}")
    source = resolve_source(args.backbone, None, with_weights=not args.untrained)
    # Weights are fetched once, or refused, before any process starts.
    version = "" if args.untrained else load_backbone(args.backbone).version
    return Study(
        out=args.out,
        scratch=args.scratch or args.out / ".scratch",
        backbone=args.backbone,
        untrained=args.untrained,
        version=version,
        device=args.device,
        mode=source.default_mode if args.mode == Mode.AUTO else str(args.mode),
        changed=changed,
    )


def run(args: argparse.Namespace) -> int:
    """Returns the number of groups of runs that failed."""
    study = study_of(args)
    args.out.mkdir(parents=True, exist_ok=True)
    pack = read(args.pack, study.scratch)
    methods = [METHODS[name] for name in args.methods]
    failed = 0
    if args.search:
        draw = Draw(pack, max(args.labeled), 0, HELD_OUT)
        sought = [method for method in methods if searchable(method)]
        todo = units(study, [draw], sought, study.search_file)
        failed += run_all(study, todo, search, args.jobs)
    draws = [Draw(pack, share, seed) for seed in range(args.seeds) for share in args.labeled]
    todo = units(study, draws, methods, study.file)
    return failed + run_all(study, todo, compare, args.jobs)


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    failed = 0
    try:
        if args.pack is not None:
            failed = run(args)
    except (ValueError, UnreadableData, OtherRuns, WeightsMissing, UnsupportedBackbone) as error:
        parser().error(str(error))
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return 130
    if args.table or args.pack is None:
        print(write_tables(args.out))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
