"""The main job as its people do it: upload, annotate a few, train, review, train again, report.

Everything goes through the public REST API. The pack's labels stand in for human eyes only.
"""

import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from app.demo import automatic
from app.demo.api import Api
from app.demo.figures import Chip, Exhibit, Exhibits, Figures, Round
from app.demo.pack import Pack, Photo
from app.demo.people import Person
from app.demo.scoring import Truth, average_precision, reliability

UPLOAD_PHOTOS, UPLOAD_BYTES = 50, 64 * 2**20
LEASE_BATCH = 20
# Enough photos to measure with, and no more than that: people label each of them.
EVALUATION_PHOTOS, LEAST_EVALUATION_RATE, MOST_EVALUATION_RATE = 75, 0.05, 0.25
# From 300 on half of them are kept to promise by; bursts are drawn whole, so that fewer may come.
PROMISING_PHOTOS = 480
# Of the defects that Kizu renders itself; a pack of somebody else's has its own words.
JAPANESE_NAMES = {
    "scratch": "傷",
    "stain": "汚れ",
    "pit": "ピット",
    "burn": "焼け",
    "peeling": "剥がれ",
    "spatter": "スパッタ",
}
CONTROL_RATE = 0.15
REVIEWS_PER_LABELED = 2.0
FEWEST_REVIEWS = 60
EXHIBITED_PHOTOS = 12


@dataclass(frozen=True)
class Team:
    """The engineer sets up and trains; the inspector annotates and reviews."""

    engineer: Api
    inspector: Api


@dataclass(frozen=True)
class Script:
    """`labeled`: share of the training photos that the inspector labels before the first training.

    `train_seconds`: time for each training; None plans as long as the photos need.
    `allowed_error`: in the end, accept without a person, at most this share wrong; None does not.
    """

    labeled: float
    seed: int
    train_seconds: float | None = None
    allowed_error: float | None = None


class Story:
    def __init__(self, team: Team, pack: Pack, script: Script, console: Console) -> None:
        self._team = team
        self._pack = pack
        self._script = script
        self._random = random.Random(script.seed)
        self._console = console
        self._person = Person(list(pack.classes), script.seed)
        self._slug = f"demo-{int(time.time())}"
        self._photos: dict[str, Photo] = {}
        self._splits: dict[str, str] = {}
        self._known: set[str] = set()
        self._curves: list[list[tuple[float, float]]] = []
        self._test_scores: dict[str, dict[str, float]] = {}
        self._figures = Figures(pack.name, images=0, labeled=0, evaluation=0, test=0)

    @property
    def project_path(self) -> str:
        return f"/projects/{self._slug}"

    def play(self) -> Figures:
        self._create_project()
        with self._timed("upload"):
            self._upload()
        with self._timed("ingest"):
            self._await_ingest()
        with self._timed("annotate"):
            self._annotate()
        self._train_predict_score()
        with self._timed("review"):
            self._review()
        self._train_predict_score()
        if self._script.allowed_error is not None:
            with self._timed("accept and check"):
                self._accept(self._script.allowed_error)
        self._figures.kpis = self._team.engineer.get(f"{self.project_path}/kpis")
        return self._figures

    def exhibits(self) -> Exhibits:
        """What the report shows of the last training, on test photos."""
        truth, scores = self._test_matrices()
        shuffled = self._random.sample(self._of_split("test"), k=len(truth))
        defective = [i for i in shuffled if self._photos[i].labels]
        good = [i for i in shuffled if not self._photos[i].labels]
        chosen = [*defective[: EXHIBITED_PHOTOS - 3], *good[:3]]
        return Exhibits(
            photos=[self._exhibit(image_id) for image_id in chosen],
            curves=self._curves,
            reliability=reliability(truth.ravel(), scores.ravel()),
        )

    def _create_project(self) -> None:
        engineer = self._team.engineer
        engineer.post(
            "/projects",
            {
                "slug": self._slug,
                "name": f"Demo: {self._pack.name}",
                "simulated": True,
                "evaluation_rate": self._evaluation_rate(),
                "control_rate": CONTROL_RATE,
            },
        )
        for key, phrase in self._pack.classes.items():
            names = {"en": key, "ja": JAPANESE_NAMES.get(key, key)}
            label = {"key": key, "names": names, "prompts": [phrase]}
            engineer.post(f"{self.project_path}/labels", label)

    def _evaluation_rate(self) -> float:
        candidates = max(len([p for p in self._pack.photos if p.split != "test"]), 1)
        accepts = self._script.allowed_error is not None
        wanted = (PROMISING_PHOTOS if accepts else EVALUATION_PHOTOS) / candidates
        return min(max(wanted, LEAST_EVALUATION_RATE), MOST_EVALUATION_RATE)

    def _upload(self) -> None:
        """The pack's test photos go into the vault; of the others the service draws some."""
        with self._bar("Uploading", len(self._pack.photos)) as advance:
            for batch in self._pack.batches(most_photos=UPLOAD_PHOTOS, most_bytes=UPLOAD_BYTES):
                self._upload_batch(batch)
                advance(len(batch))
        self._figures.images = len(self._photos)

    def _upload_batch(self, batch: list[tuple[Photo, bytes]]) -> None:
        files = [(photo.file, content) for photo, content in batch]
        captures = [{"split": "test"} if p.split == "test" else {} for p, _ in batch]
        answer = self._team.engineer.upload(f"{self.project_path}/images", files, captures)
        for (photo, _), item in zip(batch, answer["items"], strict=True):
            if item["status"] == "created":
                self._photos[item["image"]["id"]] = photo
                self._splits[item["image"]["id"]] = item["image"]["split"]

    def _await_ingest(self) -> None:
        total = len(self._photos)
        with self._bar("Ingesting", total) as advance:
            done = 0
            while done < total:
                counters = self._team.engineer.get(self.project_path)["counters"]
                ended = counters.get("ready", 0) + counters.get("rejected", 0)
                advance(ended - done)
                done = ended
                time.sleep(0.2)

    def _annotate(self) -> None:
        """The inspector labels the share asked for, and every evaluation photo, one by one."""
        pool = sorted(self._of_split("train"))
        count = max(math.ceil(len(pool) * self._script.labeled), 1)
        evaluation = self._of_split("evaluation")
        chosen = self._random.sample(pool, count) + evaluation
        with self._bar("Annotating", len(chosen)) as advance:
            for image_id in chosen:
                answer = self._person.annotate(self._photos[image_id])
                self._team.inspector.post(
                    f"{self.project_path}/images/{image_id}/annotations",
                    {
                        "values": answer.values,
                        "is_complete": True,
                        "active_seconds": answer.active_seconds,
                    },
                )
                advance(1)
        self._known.update(chosen)
        self._figures.labeled = count
        self._figures.evaluation = len(evaluation)
        self._figures.test = len(self._of_split("test"))

    def _train_predict_score(self) -> None:
        number = len(self._figures.rounds) + 1
        engineer = self._team.engineer
        training = engineer.post(
            f"{self.project_path}/trainings",
            {
                "seed": self._script.seed,
                "time_budget_seconds": self._script.train_seconds,
                "predict": False,
            },
        )
        train_seconds = self._follow(f"Training {number}", training, self._note_curve())
        version = max(
            engineer.pages(f"{self.project_path}/models"), key=lambda model: int(model["number"])
        )
        prediction = self._start_prediction(version)
        predict_seconds = self._follow(f"Predicting {number}", prediction)
        self._figures.seconds |= {
            f"train {number}": train_seconds,
            f"predict {number}": predict_seconds,
        }
        self._figures.rounds.append(self._scored(version, train_seconds, predict_seconds))
        self._console.print(
            f"Test mAP after training {number}: [bold]{self._figures.rounds[-1].map:.3f}[/bold]"
        )

    def _start_prediction(self, version: dict[str, Any]) -> dict[str, Any]:
        """Of a live version; one that the gate held back goes live by the engineer's decision,
        which lets it look at the photos by itself."""
        engineer = self._team.engineer
        if version["state"] == "live":
            wanted = {"model_version_id": version["id"]}
            job: dict[str, Any] = engineer.post(f"{self.project_path}/predictions", wanted)
            return job
        self._console.print(
            f"The gate holds version {version['number']} back. {version['gate']['reason']} "
            "The engineer looks at the figures and lets it go live all the same."
        )
        engineer.post(f"{self.project_path}/models/{version['id']}/promote", if_match="*")
        newest: dict[str, Any] = engineer.get(f"{self.project_path}/jobs", kind="predict", limit=1)[
            "items"
        ][0]
        return newest

    def _note_curve(self) -> Callable[[dict[str, Any]], None]:
        """Collects (progress, loss) from the job's metrics while the training runs."""
        curve: list[tuple[float, float]] = []
        self._curves.append(curve)

        def note(job: dict[str, Any]) -> None:
            loss = (job.get("metrics") or {}).get("loss")
            if loss is not None and (not curve or curve[-1][0] < job["progress"]):
                curve.append((job["progress"], loss))

        return note

    def _follow(
        self,
        title: str,
        job: dict[str, Any],
        note: Callable[[dict[str, Any]], None] | None = None,
    ) -> float:
        """Follow a job to its end, and return the seconds it took."""
        started = time.monotonic()
        with self._bar(title, 1.0) as advance:
            shown = 0.0

            def follow(job: dict[str, Any]) -> None:
                nonlocal shown
                advance(job["progress"] - shown)
                shown = job["progress"]
                if note is not None:
                    note(job)

            self._team.engineer.wait(job["id"], follow)
        return round(time.monotonic() - started, 1)

    def _scored(
        self, version: dict[str, Any], train_seconds: float, predict_seconds: float
    ) -> Round:
        version_id = version["id"]
        self._test_scores = {
            row["image_id"]: row["probabilities"]
            for row in self._team.engineer.pages(
                f"{self.project_path}/models/{version_id}/predictions", split="test"
            )
        }
        truth, scores = self._test_matrices()
        ap = {
            key: average_precision(truth[:, column], scores[:, column])
            for column, key in enumerate(self._pack.classes)
        }
        count, precision, recall = self._pseudo_label_quality(version_id)
        return Round(
            map=round(fmean(value for value in ap.values() if value is not None), 4),
            ap={key: None if value is None else round(value, 4) for key, value in ap.items()},
            expected_calibration_error=round(
                reliability(truth.ravel(), scores.ravel()).expected_error, 4
            ),
            pseudo_labels=count,
            pseudo_label_precision=precision,
            pseudo_label_recall=recall,
            train_seconds=train_seconds,
            predict_seconds=predict_seconds,
            gate_passed=version["gate"]["passed"],
        )

    def _test_matrices(self) -> tuple[Truth, Any]:
        """Hidden truth and probabilities, both (test photos, labels)."""
        keys = list(self._pack.classes)
        truth = [[k in self._photos[i].labels for k in keys] for i in self._test_scores]
        scores = [[row[k] for k in keys] for row in self._test_scores.values()]
        return np.array(truth, dtype=bool), np.array(scores)

    def _pseudo_label_quality(self, version_id: str) -> tuple[int, float | None, float | None]:
        """Count, share right, and share of the undecided photos' defects that they name."""
        rows = list(
            self._team.engineer.pages(
                f"{self.project_path}/pseudo-labels", model_version_id=version_id
            )
        )
        present = [row for row in rows if row["value"] == "present"]
        right = sum(self._is_right(row) for row in rows)
        found = sum(self._is_right(row) for row in present)
        undecided = set(self._of_split("train")) - self._known
        defects = sum(len(self._photos[image_id].labels) for image_id in undecided)
        precision = round(right / len(rows), 4) if rows else None
        return len(rows), precision, round(found / defects, 4) if defects else None

    def _is_right(self, row: dict[str, Any]) -> bool:
        truth = self._person.truth(self._photos[row["image_id"]])
        return bool(truth[row["label"]] == row["value"])

    def _review(self) -> None:
        """The inspector reviews what the queue serves, most uncertain first, control unseen."""
        wanted = max(round(self._figures.labeled * REVIEWS_PER_LABELED), FEWEST_REVIEWS)
        wanted = min(wanted, len(set(self._of_split("train")) - self._known))
        with self._bar("Reviewing", wanted) as advance:
            while self._figures.reviewed < wanted:
                count = min(LEASE_BATCH, wanted - self._figures.reviewed)
                leases = self._team.inspector.post(
                    f"{self.project_path}/reviews/leases", {"count": count}
                )["items"]
                for lease in leases:
                    self._review_one(lease)
                advance(len(leases))
                if not leases:
                    break

    def _accept(self, allowed_error: float) -> None:
        """Confident answers are accepted without a person; the inspector checks some blindly."""
        engineer, path = self._team.engineer, self.project_path
        accepted = automatic.accept(engineer, path, self._pack.classes, allowed_error)
        rows = engineer.pages(f"{path}/pseudo-labels", state="auto_accepted")
        wrong = sum(not self._is_right(row) for row in rows)
        automatic.check(self._team.inspector, path, self._review_one)
        self._figures.automatic = automatic.outcome(engineer, path, accepted, wrong, allowed_error)

    def _review_one(self, lease: dict[str, Any]) -> None:
        photo = self._photos[lease["image_id"]]
        suggestions = {s["label"]: s["value"] for s in lease["suggestions"]}
        if suggestions:
            answer = self._person.review(photo, suggestions)
        else:
            answer = self._person.annotate(photo)
        decisions = [
            {
                "pseudo_label_id": suggestion["id"],
                "verdict": "accept"
                if answer.values[suggestion["label"]] == suggestion["value"]
                else "reject",
            }
            for suggestion in lease["suggestions"]
        ]
        self._team.inspector.post(
            f"{self.project_path}/reviews/leases/{lease['image_id']}/submit",
            {
                "token": lease["token"],
                "decisions": decisions,
                "additions": {k: v for k, v in answer.values.items() if k not in suggestions},
                "is_complete": True,
                "active_seconds": answer.active_seconds,
            },
        )
        self._known.add(lease["image_id"])
        self._figures.reviewed += 1
        self._figures.decisions += len(decisions)
        self._figures.accepted += sum(d["verdict"] == "accept" for d in decisions)

    def _of_split(self, split: str) -> list[str]:
        return [image_id for image_id, drawn in self._splits.items() if drawn == split]

    def _exhibit(self, image_id: str) -> Exhibit:
        photo = self._photos[image_id]
        chips = [
            Chip(key, "right" if key in photo.labels else "wrong", probability)
            for key, probability in self._test_scores[image_id].items()
            if probability >= 0.5
        ]
        suggested = {chip.label for chip in chips}
        chips += [Chip(key, "missed", None) for key in sorted(photo.labels - suggested)]
        content = self._team.engineer.download(f"{self.project_path}/images/{image_id}/original")
        return Exhibit(photo.file, content, chips)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self._figures.seconds[name] = round(time.monotonic() - started, 1)

    @contextmanager
    def _bar(self, title: str, total: float) -> Iterator[Callable[[float], None]]:
        columns = (
            TextColumn("{task.description:<14}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        with Progress(*columns, console=self._console) as progress:
            task = progress.add_task(title, total=total)
            yield lambda amount: progress.advance(task, amount)
