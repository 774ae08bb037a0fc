"""Pages of model versions: how well each does, what the gate says, which one is live."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from app.annotations.models import LabelValue
from app.core.http.deps import SessionDep
from app.identity.deps import CanRead
from app.projects import service as projects
from app.projects.deps import ProjectDep
from app.projects.models import Counter, Label
from app.pseudolabels.mistakes import MOST_PHOTOS, Mistake, worst_mistakes
from app.training import history
from app.training import service as training
from app.training.models import ModelState, ModelVersion
from app.training.promises import PROMISED_SHARES, promised_thresholds
from app.web.charts import Figure, figure
from app.web.job_pages import ACTIVE
from app.web.label_graph import Graph, label_graph, mark
from app.web.requests import page_router
from app.web.templating import render

SHOWN_MISTAKES = 6
SHOWN_LIVE_CHANGES = 20

router = page_router("/projects/{slug}/models")


@router.get("", summary="The model versions of a project", response_class=HTMLResponse)
def models_page(
    request: Request, project: ProjectDep, session: SessionDep, principal: CanRead
) -> HTMLResponse:
    labels = projects.list_labels(session, project.id)
    versions = sorted(
        training.list_versions(session, project.id), key=lambda v: v.number, reverse=True
    )
    return render(
        request,
        "models.html",
        principal=principal,
        project=project,
        versions=versions,
        labels=labels,
        figures={version.id: label_figures(version) for version in versions},
        totals={v.id: figure(v.metrics.get("map")) for v in versions},
        proposed=_proposed(versions),
        changes=history.live_changes(session, project.id, limit=SHOWN_LIVE_CHANGES).rows,
    )


def _proposed(versions: Sequence[ModelVersion]) -> set[int]:
    """What one wants to compare most often: the live version, and the newest other one."""
    live = [version.number for version in versions if version.state == ModelState.LIVE]
    others = [version.number for version in versions if version.number not in live]
    return set((live + others)[:2])


@router.get("/{number}", summary="One model version", response_class=HTMLResponse)
def model_page(
    request: Request, project: ProjectDep, number: int, session: SessionDep, principal: CanRead
) -> HTMLResponse:
    version = training.get_version_by_number(session, project.id, number)
    live = training.live_version(session, project.id)
    labels = projects.list_labels(session, project.id, include_archived=True)
    return render(
        request,
        "model.html",
        principal=principal,
        project=project,
        version=version,
        live=live,
        labels=[label for label in labels if str(label.id) in version.label_ids],
        figures=label_figures(version),
        live_figures=label_figures(live) if live else {},
        total=figure(version.metrics.get("map")),
        shares=PROMISED_SHARES,
        promised=promised_thresholds(version),
        contexts=context_groups(version, labels),
        settled=settled(version),
        exports=training.list_exports(session, version),
        active=ACTIVE,
        before=history.version_before(session, version) if version is live else None,
        suggestions=projects.counters(session, project.id).get(Counter.PENDING_PSEUDO_LABELS, 0),
        since=history.newest_change_to(session, version) if version is live else None,
    )


@router.get("/{number}/mistakes", summary="Its worst mistakes", response_class=HTMLResponse)
def mistakes_part(
    request: Request, project: ProjectDep, number: int, session: SessionDep, principal: CanRead
) -> HTMLResponse:
    """A part of the page that comes when it is scrolled to: it looks at many photos."""
    version = training.get_version_by_number(session, project.id, number)
    labels = projects.list_labels(session, project.id, include_archived=True)
    return render(
        request,
        "mistakes.html",
        principal=principal,
        project=project,
        mistakes=mistakes(session, version, labels),
        most_photos=MOST_PHOTOS,
    )


@dataclass(frozen=True)
class Settled:
    """What the part models of a training settled."""

    pairs: bool
    pseudo_labels: bool


def settled(version: ModelVersion) -> Settled | None:
    """None for a version that tried nothing: a frozen one, one with few labels or little time."""
    config = version.card.get("config", {})
    if config.get("plan", {}).get("committees", 0) < 2:
        return None
    return Settled(
        pairs=bool(config.get("lambda_pairs")),
        pseudo_labels=config.get("pseudo_labels") is not False,
    )


def mistakes(
    session: Session, version: ModelVersion, labels: Sequence[Label]
) -> list[tuple[Label, list[Mistake], list[Mistake]]]:
    """The labels that the version errs about, each with its worst false alarms and misses."""
    worst = worst_mistakes(session, version, [one.id for one in labels], limit=SHOWN_MISTAKES)
    found = []
    for label in labels:
        own = [one for one in worst if one.label_id == label.id]
        alarms = [one for one in own if one.value == LabelValue.ABSENT]
        misses = [one for one in own if one.value == LabelValue.PRESENT]
        if own:
            found.append((label, alarms, misses))
    return found


@dataclass(frozen=True)
class ContextGroups:
    """The context groups of a version: the labels of each by its mark, the picture, its reasons."""

    groups: dict[str, list[Label]]
    columns: list[Label]
    graph: Graph
    criterion: str
    origin: str | None

    @property
    def active(self) -> bool:
        return len(self.groups) > 1


def context_groups(version: ModelVersion, labels: Sequence[Label]) -> ContextGroups | None:
    """None for a version whose card says nothing about groups."""
    card = version.card.get("contexts")
    if not card:
        return None
    by_id = {str(label.id): label for label in labels}
    columns = [by_id[label_id] for label_id in version.label_ids]
    groups: dict[str, list[Label]] = {}
    numbered = zip(card["assignment"], columns, strict=True)
    for group, label in sorted(numbered, key=lambda pair: pair[0]):
        groups.setdefault(mark(group), []).append(label)
    links = [(link["first"], link["second"], link["npmi"]) for link in card.get("links", [])]
    graph = label_graph(card["assignment"], links)
    return ContextGroups(groups, columns, graph, card["criterion"], card.get("origin"))


def label_figures(version: ModelVersion) -> dict[str, Figure]:
    """Average precision per label id, of the labels that could be measured."""
    found = {label_id: figure(ap) for label_id, ap in version.metrics.get("ap", {}).items()}
    return {label_id: value for label_id, value in found.items() if value is not None}
