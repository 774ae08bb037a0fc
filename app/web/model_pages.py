"""Pages of model versions: how well each does, what the gate says, which one is live."""

from fastapi import Request
from fastapi.responses import HTMLResponse

from app.core.http.deps import SessionDep
from app.identity.deps import CanRead
from app.projects import service as projects
from app.projects.deps import ProjectDep
from app.training import service as training
from app.training.models import ModelVersion
from app.web.charts import Figure, figure
from app.web.requests import page_router
from app.web.templating import render

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
    )


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
    )


def label_figures(version: ModelVersion) -> dict[str, Figure]:
    """Average precision per label id, of the labels that could be measured."""
    found = {label_id: figure(ap) for label_id, ap in version.metrics.get("ap", {}).items()}
    return {label_id: value for label_id, value in found.items() if value is not None}
