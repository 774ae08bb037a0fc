"""What a model costs on premises: ONNX against PyTorch, 8 bits, a distilled student.

    python -m benchmarks.light [--train 1000] [--test 400] [--steps 900] [--student 112]

Trains kizu-small on rendered photos (a fifth labelled), distils a student from it on the other
photos, and exports both. Speeds are photos a second on one core, from pixels to logits, each as the
best of several rounds that take turns in the same run; mAP is on renders of an unseen seed. Prints
JSON. `--model FOLDER` takes the teacher from there, or keeps it there.
"""

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.datasets import Pack, read_folder, training_set
from benchmarks.settings import show
from worker.learning.backbone import load_backbone
from worker.learning.calibration import expected_calibration_error
from worker.learning.dataset import TrainingSet
from worker.learning.distillation import distil
from worker.learning.export import EIGHT_BITS, export_onnx, quantize
from worker.learning.learner import see
from worker.learning.metrics import mean_average_precision
from worker.learning.onnx_model import MODEL, OnnxModel, as_batch
from worker.learning.plan import TrainingConfig
from worker.learning.predictor import Predictor
from worker.learning.rendering import render_pack
from worker.learning.trainer import train

UNSEEN_SEED = 1_000
ROUNDS = 7
LABELED = 0.2
CALIBRATION_PHOTOS = 100

Photos = list[NDArray[np.uint8]]


@dataclasses.dataclass(frozen=True)
class Exam:
    """Photos and labels (N, K) that no model has seen."""

    photos: Photos
    labels: NDArray[np.int8]

    def figures(self, probabilities: NDArray[np.float64]) -> dict[str, float]:
        return {
            "map": mean_average_precision(probabilities, self.labels),
            "ece": expected_calibration_error(probabilities, self.labels),
        }


def speeds(ways: dict[str, Callable[[], object]], photos: int) -> dict[str, float]:
    """Photos a second of each way; the ways take turns, so that other work hits all alike."""
    best = dict.fromkeys(ways, float("inf"))
    for number in range(ROUNDS + 1):
        for name, run in ways.items():
            start = time.perf_counter()
            run()
            if number:  # the first one warms up
                best[name] = min(best[name], time.perf_counter() - start)
    return {name: photos / seconds for name, seconds in best.items()}


def torch_way(predictor: Predictor, batch: NDArray[np.float32]) -> Callable[[], object]:
    pixels, card = torch.from_numpy(batch), predictor.card
    return lambda: see(predictor.classifier, pixels, card.views, card.orientations)


def full_precision(predictor: Predictor) -> Predictor:
    classifier = predictor.classifier
    plain = type(classifier)(classifier.backbone, classifier.head)
    return Predictor(plain, predictor.card)


def one_view(predictor: Predictor, resolution: int) -> Predictor:
    """The same model, looking once and at so many pixels: what a student has to beat."""
    card = dataclasses.replace(predictor.card, views=1, resolution=resolution)
    return Predictor(predictor.classifier, card)


def measured(predictor: Predictor, folder: Path, exam: Exam, usual: Photos) -> dict[str, Any]:
    """Speed, size, accuracy and parity of one model as PyTorch, ONNX and 8-bit ONNX."""
    export_onnx(predictor, folder)
    quantize(folder, usual)
    whole, eight = (OnnxModel.load(folder, file=f, threads=1) for f in (MODEL, EIGHT_BITS))
    size = predictor.card.grid.canvas
    one, batch = as_batch(exam.photos[:1], size), as_batch(exam.photos[:16], size)
    plain = full_precision(predictor)

    def ways(pixels: NDArray[np.float32]) -> dict[str, Callable[[], object]]:
        return {
            "torch": torch_way(plain, pixels),
            "torch as predicted": torch_way(predictor, pixels),
            "onnx": lambda: whole.logits(pixels),
            "int8": lambda: eight.logits(pixels),
        }

    difference = np.abs(whole.logits(batch) - plain.look(exam.photos[:16]).logits).max()
    return {
        "resolution": predictor.card.resolution,
        "views": predictor.card.views,
        "precision": predictor.card.precision,
        "photos_a_second_one_by_one": speeds(ways(one), 1),
        "photos_a_second_in_sixteens": speeds(ways(batch), 16),
        "bytes": {
            "onnx": (folder / MODEL).stat().st_size,
            "int8": (folder / EIGHT_BITS).stat().st_size,
        },
        "parity": float(difference),
        "torch": exam.figures(plain.predict(exam.photos).probabilities),
        "onnx": exam.figures(whole.predict(exam.photos)),
        "int8": exam.figures(eight.predict(exam.photos)),
    }


def taught(args: argparse.Namespace, dataset: TrainingSet, pack: Pack, scratch: Path) -> Predictor:
    """The teacher in `--model`, trained now if it is not there."""
    folder = args.model or scratch / "teacher"
    if not (folder / "card.json").exists():
        config = TrainingConfig(threads=1, rounds=1, time_budget_seconds=args.budget)
        train(
            dataset,
            pack.specs,
            load_backbone("kizu-small"),
            config,
            workdir=scratch / "work",
            on_progress=show,
        ).save(folder)
    return Predictor.load(folder)


def student_of(
    teacher: Predictor, dataset: TrainingSet, args: argparse.Namespace, scratch: Path
) -> Predictor:
    passes = max(round(args.steps * 48 / len(dataset.keys)), 1)
    config = TrainingConfig(resolution=args.student, epochs=passes, threads=1)
    small = load_backbone("kizu-small")
    work = scratch / "student"
    return distil(teacher, dataset, small, config, workdir=work, on_progress=show).predictor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=int, default=1000)
    parser.add_argument("--test", type=int, default=400)
    parser.add_argument("--steps", type=int, default=900, help="of the student's training")
    parser.add_argument("--student", type=int, default=112, help="pixels a side that it sees")
    parser.add_argument("--budget", type=float, default=300.0, help="seconds to train the teacher")
    parser.add_argument("--model", type=Path, default=None)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        render_pack(scratch / "seen", train=args.train, test=0, seed=0)
        render_pack(scratch / "unseen", train=0, test=args.test, seed=UNSEEN_SEED)
        pack, unseen = read_folder(scratch / "seen"), read_folder(scratch / "unseen")
        rows = np.random.default_rng(0).permutation(args.train)
        dataset = training_set(pack, rows[: int(LABELED * args.train)], rows[:0])
        exam = Exam([unseen.photo(i) for i in range(args.test)], unseen.labels)
        usual = [pack.photo(int(i)) for i in rows[-CALIBRATION_PHOTOS:]]
        teacher = taught(args, dataset, pack, scratch)
        student = student_of(teacher, dataset, args, scratch)
        untaught = {
            f"{side} px": exam.figures(one_view(teacher, side).predict(exam.photos).probabilities)
            for side in (teacher.card.resolution, args.student)
        }
        result = {
            "teacher": measured(teacher, scratch / "a", exam, usual),
            "teacher, one view, no distillation": untaught,
            "student": measured(student, scratch / "b", exam, usual),
        }
    print(file=sys.stderr)
    print(json.dumps({"photos": args.test, **result}, indent=1))


if __name__ == "__main__":
    main()
