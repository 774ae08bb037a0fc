"""Pages of projects: the list, a new one, the overview with what to do next, the labels."""

from dataclasses import dataclass
from enum import StrEnum

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from app.core.http.deps import SessionDep
from app.identity.deps import CanManage, CanRead, PrincipalDep
from app.jobs import service as jobs
from app.projects import service as projects
from app.projects.deps import ProjectDep
from app.projects.models import Counter
from app.projects.rules import PALETTE
from app.training import service as training
from app.web.job_pages import ACTIVE
from app.web.requests import page_router
from app.web.templating import render

FEW_LABELLED = 20
router = page_router()


class StepState(StrEnum):
    DONE = "done"
    NEXT = "next"
    LATER = "later"


@dataclass(frozen=True)
class Progress:
    """How far a project is: what the overview's four steps are judged by."""

    images: int
    annotated: int
    waiting: int
    has_model: bool

    def steps(self) -> dict[str, StepState]:
        """Upload, annotate, train, review: those done, the one to do now, those for later."""
        is_done = {
            "upload": self.images > 0,
            "annotate": self.annotated >= min(FEW_LABELLED, max(self.images, 1)),
            "train": self.has_model,
            "review": self.has_model and self.waiting == 0,
        }
        following = next((name for name, done in is_done.items() if not done), None)
        return {
            name: StepState.DONE
            if done
            else StepState.NEXT
            if name == following
            else StepState.LATER
            for name, done in is_done.items()
        }


@router.get("/", summary="The start page", response_class=RedirectResponse)
def start_page(principal: PrincipalDep) -> Response:
    return RedirectResponse("/projects", status_code=303)


@router.get("/projects", summary="The projects", response_class=HTMLResponse)
def projects_page(request: Request, session: SessionDep, principal: CanRead) -> HTMLResponse:
    found = projects.list_projects(session)
    counts = projects.counters_of(session, [project.id for project in found])
    return render(
        request,
        "projects.html",
        principal=principal,
        projects=found,
        counts=counts,
        Counter=Counter,
    )


@router.get("/projects/new", summary="A new project", response_class=HTMLResponse)
def new_project_page(request: Request, principal: CanManage) -> HTMLResponse:
    return render(request, "new_project.html", principal=principal, palette=PALETTE)


@router.get("/projects/{slug}", summary="A project at a glance", response_class=HTMLResponse)
def project_page(
    request: Request, project: ProjectDep, session: SessionDep, principal: CanRead
) -> HTMLResponse:
    counts = projects.counters(session, project.id)
    live = training.live_version(session, project.id)
    progress = Progress(
        images=counts.get(Counter.IMAGES, 0),
        annotated=counts.get(Counter.ANNOTATED, 0),
        waiting=counts.get(Counter.PENDING_PSEUDO_LABELS, 0),
        has_model=live is not None,
    )
    recent = jobs.list_jobs(session, project_id=project.id, limit=5).rows
    return render(
        request,
        "project.html",
        principal=principal,
        project=project,
        progress=progress,
        rejected=counts.get(Counter.REJECTED, 0),
        steps=progress.steps(),
        live=live,
        labels=projects.list_labels(session, project.id),
        jobs=recent,
        active=ACTIVE,
    )


@router.get("/projects/{slug}/labels", summary="The labels", response_class=HTMLResponse)
def labels_page(
    request: Request, project: ProjectDep, session: SessionDep, principal: CanRead
) -> HTMLResponse:
    labels = projects.list_labels(session, project.id, include_archived=True)
    return render(
        request,
        "labels.html",
        principal=principal,
        project=project,
        labels=labels,
        new_colour=PALETTE[len(labels) % len(PALETTE)],
    )
