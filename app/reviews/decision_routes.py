"""HTTP of decisions that were made: who decided what, when, and what the model had said."""

import csv
import io
from typing import Annotated

from fastapi import Header, Query, Request, Response

from app.annotations import service as annotations
from app.core.errors import BadRequest, Invalid, NotFound
from app.core.http.deps import SessionDep
from app.core.http.problems import responses
from app.core.http.transactions import make_router
from app.core.pagination import Page
from app.identity.deps import CanRead
from app.projects import service as projects
from app.projects.deps import ProjectDep
from app.projects.models import Project
from app.reviews import service
from app.reviews.schemas import DecisionQuery, DecisionRecordOut, describe_decision
from app.reviews.service import DecisionFilter

router = make_router("/projects/{slug}/pseudo-labels", "Pseudo-labels")
CSV = "text/csv"


@router.get(
    "/decisions",
    summary="Every decision, newest first: who, when, and what the model had said",
    response_model=Page[DecisionRecordOut],
    responses=responses(NotFound, BadRequest) | {200: {"content": {CSV: {}}}},
)
def list_decisions(
    request: Request,
    project: ProjectDep,
    session: SessionDep,
    principal: CanRead,
    query: Annotated[DecisionQuery, Query()],
    accept: Annotated[str, Header(include_in_schema=False)] = "*/*",
) -> Page[DecisionRecordOut] | Response:
    """As JSON, or as CSV by `Accept: text/csv`; then the next page is in the header `Link`.
    Decisions of the control arm that were taken back are left out: their photos are open again."""
    found = service.list_decisions(
        session,
        project.id,
        _filter(session, project, query),
        cursor=query.cursor,
        limit=query.limit,
    )
    keys = annotations.label_keys(session, project.id)
    items = [describe_decision(one.decision, keys, is_undone=one.is_undone) for one in found.rows]
    page = Page[DecisionRecordOut](items=items, next_cursor=found.next_cursor)
    return _as_csv(request, page) if CSV in accept else page


def _filter(session: SessionDep, project: Project, query: DecisionQuery) -> DecisionFilter:
    labels = projects.labels_by_key(session, project.id) if query.label else {}
    if query.label and query.label not in labels:
        raise Invalid(f"unknown label: {query.label}")
    return DecisionFilter(
        pseudo_label_id=query.pseudo_label_id,
        reviewer_id=query.reviewer_id,
        label_id=labels[query.label].id if query.label else None,
        start=query.start,
        end=query.end,
    )


def _as_csv(request: Request, page: Page[DecisionRecordOut]) -> Response:
    sheet = io.StringIO()
    writer = csv.DictWriter(sheet, list(DecisionRecordOut.model_fields))
    writer.writeheader()
    writer.writerows(item.model_dump(mode="json") for item in page.items)
    headers = {"content-disposition": 'attachment; filename="decisions.csv"'}
    if page.next_cursor:
        following = request.url.include_query_params(cursor=page.next_cursor)
        headers["link"] = f'<{following.path}?{following.query}>; rel="next"'
    return Response(sheet.getvalue(), media_type=CSV, headers=headers)
