"""A model version as files for a computer on the line, measured before they leave.

ONNX; where it was asked for, of a student that is distilled first, and in 8 bits too. A student
goes on from its checkpoint when the job is killed; the files are made anew in a minute.
"""

import dataclasses
import json
import math
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import torch
from numpy.typing import NDArray

from app.core.errors import Invalid
from app.images import service as images
from app.jobs.contracts import ExportModelPayload, ExportModelResult, FormFigures
from app.jobs.stages import JobStage
from app.projects import service as projects
from app.training import service as training
from app.training.models import ModelVersion
from app.training.snapshots import Snapshot
from worker.base_task import JobRun
from worker.engine import snapshots
from worker.engine.alive import kept_alive
from worker.engine.device import threads, use_threads
from worker.engine.model_cache import shared_models
from worker.engine.photos import PhotoReader
from worker.engine.training import said_plainly
from worker.engine.training_set import in_order, with_photos
from worker.learning.dataset import Pixels, Split, TrainingSet
from worker.learning.distillation import distil
from worker.learning.export import export_onnx, quantize
from worker.learning.metrics import mean_average_precision
from worker.learning.onnx_model import OnnxModel
from worker.learning.plan import TrainingConfig
from worker.learning.predictor import Predictor
from worker.learning.progress import Progress
from worker.learning.sources import KIZU_SMALL

TEACHING_SHARE = 0.9
LONGEST_EXPORT_SECONDS = 1800.0
MEASURED, RANGED = 300, 100  # photos to measure on, and to find the ranges of 8 bits with
VERSION, STUDENT = "version", "student"
REPORT, README = "report.json", "README.md"
README_TEXT = """# {slug}, model version {number}

`model.onnx` takes photos and gives a logit for each label; `card.json` names the labels and makes
calibrated probabilities of the logits; `report.json` says how well the files do. `int8.onnx`, where
it is here, is quicker and smaller.

From a checkout of Kizu, without PyTorch:

    pip install -e '.[onnx]'
    python -m worker.learning.onnx_model THIS_FOLDER PHOTO ...

From a program: `worker.learning.onnx_model.OnnxModel`. With another runtime: the input `pixels` is
float32 (photos, 3, {height}, {width}), red, green, blue in 0 to 1, each photo resized to that size.
"""


@dataclass(frozen=True)
class Material:
    """What an export is made from: the version's model, and the photos that it knows."""

    slug: str
    version: ModelVersion
    model: Predictor
    photos: TrainingSet

    def exam(self) -> NDArray[np.int64]:
        """Labelled photos that the model did not learn from."""
        return self.photos.rows(Split.VALIDATION)[:MEASURED]

    def typical(self) -> NDArray[np.int64]:
        """Photos as they come, none of the exam, spread over all there are."""
        rows = np.flatnonzero([split is not Split.VALIDATION for split in self.photos.split])
        return rows[:: max(len(rows) // RANGED, 1)][:RANGED]

    def pixels(self, rows: NDArray[np.int64]) -> list[Pixels]:
        read = self.photos.photos
        assert read is not None
        return [read(row) for row in rows]


def export_model(run: JobRun) -> dict[str, Any]:
    """The result of the job; the zip is in the store. Raises what people can mend."""
    use_threads(run.settings)
    wanted = ExportModelPayload.model_validate(run.payload)
    run.report(0.0, JobStage.LOAD)
    with said_plainly():
        material = collect(run, wanted.model_version_id)
        models = {VERSION: material.model}
        if wanted.student_resolution is not None:
            models[STUDENT] = teach(run, material, wanted.student_resolution)
    run.report(TEACHING_SHARE, JobStage.EXPORT_MODEL)
    folder = run.workdir / "files"
    with kept_alive(run.tick, at_most=LONGEST_EXPORT_SECONDS):
        files = write_files(material, list(models.values())[-1], folder, wanted)
        result = measure(run, material, models, files)
    return deliver(run, material, folder, result).model_dump(mode="json")


def collect(run: JobRun, version_id: UUID) -> Material:
    """Raises `NotFound`, and `Conflict` where the model cannot be loaded."""
    assert run.project_id is not None
    with run.sessions() as session:
        project = projects.get_project_by_id(session, run.project_id)
        version = training.get_version(session, run.project_id, version_id)
        frozen = training.snapshot_of(session, version)
    path = run.workdir / "snapshot.parquet"
    path.write_bytes(run.store.get(frozen.blob_key))
    snapshot = without_deleted(run, snapshots.read(path, sha256=frozen.sha256))
    with kept_alive(run.tick, at_most=LONGEST_EXPORT_SECONDS):
        models = shared_models(run.settings.data_dir)
        model = models.predictor(run.store, version)
    at_least = max(model.card.grid.canvas)
    reader = PhotoReader(run.store, run.settings.image_max_pixels, at_least=at_least)
    label_ids = [UUID(label_id) for label_id in version.label_ids]
    photos = in_order(with_photos(snapshot, reader), snapshot, label_ids)
    return Material(project.slug, version, model, photos)


def without_deleted(run: JobRun, snapshot: Snapshot) -> Snapshot:
    """The photos that are still there: others were deleted since the training."""
    assert run.project_id is not None
    with run.sessions() as session:
        ids = [row.image_id for row in snapshot.rows]
        kept = {image.id for image in images.get_images(session, run.project_id, ids)}
    rows = tuple(row for row in snapshot.rows if row.image_id in kept)
    if not rows:
        raise Invalid("The photos of this version were all deleted, so nothing can be measured.")
    return dataclasses.replace(snapshot, rows=rows)


def teach(run: JobRun, material: Material, resolution: int) -> Predictor:
    def on_progress(progress: Progress) -> None:
        share = progress.fraction * TEACHING_SHARE
        run.report(share, JobStage.TEACH, eta_seconds=progress.eta_seconds)

    student = distil(
        material.model,
        material.photos,
        shared_models(run.settings.data_dir).backbone(KIZU_SMALL),
        TrainingConfig(resolution=resolution, threads=threads(run.settings)),
        workdir=run.workdir / "student",
        on_progress=on_progress,
        should_stop=run.should_stop,
    )
    return student.predictor()


def write_files(
    material: Material, model: Predictor, folder: Path, wanted: ExportModelPayload
) -> list[Path]:
    """The ONNX files, with the card beside them."""
    files = [export_onnx(model, folder)]
    if wanted.eight_bits:
        files.append(quantize(folder, material.pixels(material.typical())))
    height, width = model.card.grid.canvas
    version = material.version
    text = README_TEXT.format(slug=material.slug, number=version.number, height=height, width=width)
    (folder / README).write_text(text, encoding="utf-8")
    return files


def measure(
    run: JobRun, material: Material, models: dict[str, Predictor], files: Sequence[Path]
) -> dict[str, Any]:
    """What `ExportModelResult` says besides the file."""
    exam = material.exam()
    photos = material.pixels(exam if len(exam) else material.typical())
    labels = material.photos.labels[exam]
    seen = {name: model.predict(photos).probabilities for name, model in models.items()}
    forms = [FormFigures(form=name, map=_map(found, labels)) for name, found in seen.items()]
    own = list(seen.values())[-1]
    count = threads(run.settings) or torch.get_num_threads()
    for file in files:
        model = OnnxModel.load(file.parent, file=file.name, threads=count)
        began = time.perf_counter()
        found = model.predict(photos)
        seconds = time.perf_counter() - began
        forms.append(
            FormFigures(
                form=file.name,
                map=_map(found, labels),
                largest_difference=float(np.abs(found - own).max()),
                photos_per_second=len(photos) / seconds,
            )
        )
    return {"photos": len(photos), "threads": count, "forms": [x.model_dump() for x in forms]}


def _map(probabilities: NDArray[np.float64], labels: NDArray[np.int8]) -> float | None:
    """None without an exam."""
    found = mean_average_precision(probabilities, labels) if len(labels) else math.nan
    return found if math.isfinite(found) else None


def deliver(
    run: JobRun, material: Material, folder: Path, measured: dict[str, Any]
) -> ExportModelResult:
    """The zip, stored where only this attempt writes."""
    (folder / REPORT).write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    name = f"{material.slug}-version-{material.version.number}-onnx.zip"
    path = run.workdir / name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    key = f"{run.blob_prefix}/{name}"
    run.store.put_file(key, path)
    return ExportModelResult(
        blob_key=key,
        file_name=name,
        media_type="application/zip",
        byte_size=path.stat().st_size,
        **measured,
    )
