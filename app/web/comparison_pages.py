"""The page of model versions side by side: how well, by what, and whose answers changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Query, Request
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from app.core.http.deps import SessionDep
from app.identity.deps import CanRead
from app.jobs import service as jobs
from app.jobs.models import Job
from app.projects import service as projects
from app.projects.deps import ProjectDep
from app.projects.models import Label, Project
from app.pseudolabels import comparison
from app.pseudolabels.comparison import (
    FEWEST_VERSIONS,
    MOST_VERSIONS,
    Changes,
    Exam,
    Finding,
    LabelFigures,
)
from app.pseudolabels.paired import Estimate
from app.training import service as training
from app.training.models import ModelState, ModelVersion
from app.training.promises import promised_thresholds
from app.web.charts import Axis, Figure, common_axis, figure
from app.web.model_pages import Settled, label_figures, settled
from app.web.requests import page_router
from app.web.templating import render

SHOWN_CHANGES = 8
CHART_WIDTH = 320.0
PROMISED_SHARE = 0.05

router = page_router("/projects/{slug}/models/compare")


@dataclass(frozen=True)
class Choice:
    """The versions that an address names, and what is wrong with it: the status of the answer."""

    numbers: Sequence[int]
    versions: Sequence[ModelVersion]
    unknown: Sequence[str]

    @property
    def status(self) -> int:
        if self.unknown:
            return 404
        return 200 if FEWEST_VERSIONS <= len(self.versions) <= MOST_VERSIONS else 422


@router.get("", summary="Model versions side by side", response_class=HTMLResponse)
def comparison_page(
    request: Request,
    project: ProjectDep,
    session: SessionDep,
    principal: CanRead,
    versions: Annotated[list[str] | None, Query(description="Numbers: 1,2 or one each.")] = None,
) -> HTMLResponse:
    every = training.list_versions(session, project.id)
    choice = choose(every, versions or [])
    beside = side_by_side(session, project, choice.versions) if choice.status == 200 else None
    return render(
        request,
        "compare.html",
        principal=principal,
        project=project,
        status=choice.status,
        every=every[::-1],
        choice=choice,
        beside=beside,
        shown=SHOWN_CHANGES,
    )


def choose(every: Sequence[ModelVersion], asked: Sequence[str]) -> Choice:
    """`asked` holds numbers as an address has them: one each, or several with commas."""
    words = [word.strip() for one in asked for word in one.split(",") if word.strip()]
    by_number = {str(version.number): version for version in every}
    numbers = sorted({by_number[word].number for word in words if word in by_number})
    return Choice(
        numbers,
        [by_number[str(number)] for number in numbers],
        sorted({word for word in words if word not in by_number}),
    )


@dataclass(frozen=True)
class Row:
    """One label: the figure of each version, in the order of the page, and what is paired."""

    label: Label
    figures: Sequence[Figure | None]
    paired: LabelFigures | None

    def difference(self, version: ModelVersion) -> Estimate | None:
        return self.paired.differences.get(version.id) if self.paired else None

    def finding(self, version: ModelVersion) -> Finding | None:
        return self.paired.finding(version.id) if self.paired else None


@dataclass(frozen=True)
class Facts:
    """What a version was made of, beside what it knows of its own confidence."""

    counts: Mapping[str, int]
    seconds: float | None
    total: Figure | None
    settled: Settled | None
    calibration_error: float | None
    promised: int


@dataclass(frozen=True)
class SideBySide:
    """`others` are compared with `base`. `unseen` never looked at the photos: then nothing is
    paired, `exam` is None, and the figures are those that each training measured by itself."""

    versions: Sequence[ModelVersion]
    base: ModelVersion
    unseen: Sequence[ModelVersion]
    exam: Exam | None
    rows: Sequence[Row]
    axis: Axis
    facts: Mapping[UUID, Facts]
    changes: Mapping[UUID, Changes]
    labels: Mapping[UUID, Label]

    @property
    def others(self) -> list[ModelVersion]:
        return [version for version in self.versions if version is not self.base]


def side_by_side(
    session: Session, project: Project, versions: Sequence[ModelVersion]
) -> SideBySide:
    base = base_of(versions)
    labels = projects.list_labels(session, project.id, include_archived=True)
    exam = comparison.examine(session, versions)
    others = [version for version in versions if version is not base]
    rows = _rows(versions, base, labels, exam)
    figures = [one for row in rows for one in row.figures if one is not None]
    return SideBySide(
        versions=versions,
        base=base,
        unseen=[] if exam.photos else comparison.unseen(session, versions),
        exam=exam if exam.photos else None,
        rows=rows,
        axis=common_axis(figures, width=CHART_WIDTH),
        facts={version.id: facts(session, version) for version in versions},
        changes={other.id: comparison.changes(exam, other.id, base.id) for other in others},
        labels={label.id: label for label in labels},
    )


def base_of(versions: Sequence[ModelVersion]) -> ModelVersion:
    """What the others are compared with: the live version where newer ones stand beside it, else
    the oldest, since people ask what an update brings. `versions` are the oldest first."""
    live = next((v for v in versions[:-1] if v.state == ModelState.LIVE), None)
    return live or versions[0]


def _rows(
    versions: Sequence[ModelVersion], base: ModelVersion, labels: Sequence[Label], exam: Exam
) -> list[Row]:
    paired = {one.label_id: one for one in comparison.compare(exam, base.id)}
    by_itself = {version.id: label_figures(version) for version in versions}
    known = {label_id for version in versions for label_id in version.label_ids}
    rows = []
    for label in (one for one in labels if str(one.id) in known):
        together = paired[label.id] if exam.photos else None
        figures = [
            _figure(together, version) if together else by_itself[version.id].get(str(label.id))
            for version in versions
        ]
        rows.append(Row(label, figures, together))
    return rows


def _figure(paired: LabelFigures, version: ModelVersion) -> Figure | None:
    return figure(paired.precisions.get(version.id))


def facts(session: Session, version: ModelVersion) -> Facts:
    reliability = version.metrics.get("reliability") or {}
    return Facts(
        counts=training.snapshot_of(session, version).counts,
        seconds=_seconds(jobs.get_job(session, version.job_id)),
        total=figure(version.metrics.get("map")),
        settled=settled(version),
        calibration_error=(reliability.get("after") or {}).get("ece"),
        promised=sum(
            1
            for answers in promised_thresholds(version, (PROMISED_SHARE,)).values()
            if any(threshold is not None for _, found in answers for threshold in found)
        ),
    )


def _seconds(training_job: Job) -> float | None:
    started, ended = training_job.started_at, training_job.finished_at
    return None if started is None or ended is None else (ended - started).total_seconds()
