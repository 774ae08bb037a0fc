"""HTTP of projects and labels. Deleting a project and archiving a label: `catalog`."""

from typing import Annotated

from fastapi import Query, Response

from app.core.errors import BadRequest, Conflict, NotFound, PreconditionRequired, Stale
from app.core.http.deps import IfMatch, SessionDep, check_if_match, etag
from app.core.http.problems import responses
from app.core.http.transactions import make_router
from app.core.pagination import Page
from app.identity.deps import CanManage, CanRead, Idempotent
from app.projects import glossary, service
from app.projects.deps import AnyProjectDep, ProjectDep
from app.projects.models import Counter, Label, Project
from app.projects.schemas import (
    GlossaryOut,
    LabelEdit,
    LabelIn,
    LabelOrder,
    LabelOut,
    ProjectEdit,
    ProjectIn,
    ProjectOut,
    ProjectQuery,
)
from app.projects.service import LabelChanges

router = make_router("/projects", "Projects")
labels_router = make_router("", "Labels")
EDIT_ERRORS = responses(NotFound, Conflict, Stale, PreconditionRequired)


@router.get(
    "",
    summary="The projects, the youngest first",
    response_model=Page[ProjectOut],
    responses=responses(BadRequest),
)
def list_projects(
    session: SessionDep, principal: CanRead, query: Annotated[ProjectQuery, Query()]
) -> Page[ProjectOut]:
    page = service.page_of_projects(
        session, include_archived=query.include_archived, cursor=query.cursor, limit=query.limit
    )
    counts = service.counters_of(session, [project.id for project in page.rows])
    items = [_described(project, counts[project.id]) for project in page.rows]
    return Page(items=items, next_cursor=page.next_cursor)


@router.post(
    "",
    summary="Create a project",
    status_code=201,
    response_model=ProjectOut,
    responses=responses(Conflict),
    dependencies=[Idempotent],
)
def create_project(
    body: ProjectIn, session: SessionDep, principal: CanManage, response: Response
) -> ProjectOut:
    project = service.create_project(
        session,
        actor_id=principal.user_id,
        slug=body.slug,
        name=body.name.strip(),
        **body.model_dump(exclude={"slug", "name"}),
    )
    response.headers["location"] = f"/api/v1/projects/{project.slug}"
    response.headers["etag"] = etag(project.version)
    return _described(project, {})


@router.get(
    "/{slug}",
    summary="One project, with its counters",
    response_model=ProjectOut,
    responses=responses(NotFound),
)
def get_project(
    project: ProjectDep, session: SessionDep, principal: CanRead, response: Response
) -> ProjectOut:
    response.headers["etag"] = etag(project.version)
    return _described(project, service.counters(session, project.id))


@router.patch(
    "/{slug}",
    summary="Change a project's settings, archive it or bring it back",
    response_model=ProjectOut,
    responses=EDIT_ERRORS,
)
def edit_project(
    *,
    project: AnyProjectDep,
    body: ProjectEdit,
    session: SessionDep,
    principal: CanManage,
    response: Response,
    if_match: IfMatch = None,
) -> ProjectOut:
    """Members left out stay as they are. Rates hold for photos and reviews from now on."""
    project = service.hold_project(session, project.id)
    check_if_match(if_match, project.version)
    project = service.edit_project(session, project, body.changes(), actor_id=principal.user_id)
    response.headers["etag"] = etag(project.version)
    return _described(project, service.counters(session, project.id))


@labels_router.get(
    "/projects/{slug}/labels",
    summary="The labels, in the order people gave them",
    response_model=Page[LabelOut],
    responses=responses(NotFound),
)
def list_labels(
    project: ProjectDep,
    session: SessionDep,
    principal: CanRead,
    include_archived: Annotated[bool, Query()] = False,
) -> Page[LabelOut]:
    labels = service.list_labels(session, project.id, include_archived=include_archived)
    return Page(items=[LabelOut.model_validate(label) for label in labels], next_cursor=None)


@labels_router.post(
    "/projects/{slug}/labels",
    summary="Add a label",
    status_code=201,
    response_model=LabelOut,
    responses=responses(NotFound, Conflict),
    dependencies=[Idempotent],
)
def create_label(
    project: ProjectDep,
    body: LabelIn,
    session: SessionDep,
    principal: CanManage,
    response: Response,
) -> Label:
    """Photos that were finished before stay finished; the new label is unknown on them."""
    label = service.create_label(
        session, project, actor_id=principal.user_id, **body.model_dump(exclude_none=True)
    )
    response.headers["location"] = f"/api/v1/projects/{project.slug}/labels/{label.key}"
    response.headers["etag"] = etag(label.version)
    return label


@labels_router.get(
    "/projects/{slug}/labels/{key}",
    summary="One label",
    response_model=LabelOut,
    responses=responses(NotFound),
)
def get_label(
    project: ProjectDep, key: str, session: SessionDep, principal: CanRead, response: Response
) -> Label:
    label = service.get_label(session, project.id, key)
    response.headers["etag"] = etag(label.version)
    return label


@labels_router.patch(
    "/projects/{slug}/labels/{key}",
    summary="Rename a label, or change how it is shown, asked for and weighed",
    response_model=LabelOut,
    responses=EDIT_ERRORS,
)
def edit_label(
    *,
    project: ProjectDep,
    key: str,
    body: LabelEdit,
    session: SessionDep,
    principal: CanManage,
    response: Response,
    if_match: IfMatch = None,
) -> Label:
    """Also its key: what people said refers to its id and stays as it is."""
    service.hold_project(session, project.id)
    label = service.get_label(session, project.id, key)
    check_if_match(if_match, label.version)
    changes = LabelChanges(**body.changes())  # type: ignore[typeddict-item]
    label = service.edit_label(session, label, changes, actor_id=principal.user_id)
    response.headers["etag"] = etag(label.version)
    return label


@labels_router.put(
    "/projects/{slug}/label-order",
    summary="Put the labels into another order",
    response_model=Page[LabelOut],
    responses=EDIT_ERRORS,
)
def order_labels(
    *,
    project: ProjectDep,
    body: LabelOrder,
    session: SessionDep,
    principal: CanManage,
    response: Response,
    if_match: IfMatch = None,
) -> Page[LabelOut]:
    """The first nine are chosen by their number at the desk. The ETag is the project's."""
    project = service.hold_project(session, project.id)
    check_if_match(if_match, project.version)
    labels = service.order_labels(session, project, body.keys, actor_id=principal.user_id)
    response.headers["etag"] = etag(project.version)
    return Page(items=[LabelOut.model_validate(label) for label in labels], next_cursor=None)


@labels_router.get(
    "/glossary",
    summary="English prompts for the name of a defect",
    response_model=GlossaryOut,
    responses=responses(),
)
def suggest_prompts(
    principal: CanRead,
    ja: Annotated[str, Query(max_length=200, examples=["傷"])] = "",
    en: Annotated[str, Query(max_length=200, examples=["scratch"])] = "",
) -> GlossaryOut:
    """From the Japanese–English glossary of defect terms that ships with Kizu."""
    names = {"ja": ja, "en": en}
    return GlossaryOut(phrases=list(glossary.phrases(names)), prompts=glossary.prompts(names))


def _described(project: Project, counters: dict[Counter, int]) -> ProjectOut:
    return ProjectOut.model_validate(project).model_copy(update={"counters": counters})
