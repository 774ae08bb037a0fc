"""HTTP of automatic acceptance: under which contracts, and what audits say about them."""

from typing import Annotated

from fastapi import Query

from app.annotations.models import LabelValue
from app.core.errors import Conflict, NotFound
from app.core.http.deps import SessionDep
from app.core.http.problems import responses
from app.core.http.transactions import make_router
from app.identity.deps import CanManage, CanRead
from app.projects import service as projects
from app.projects.deps import ProjectDep
from app.projects.models import Project, RolloutStage
from app.pseudolabels import acceptance
from app.pseudolabels.models import ContractEnd
from app.reviews import audits
from app.reviews.acceptance_schemas import (
    AcceptanceOut,
    AuditOut,
    ContractIn,
    LabelAcceptanceOut,
    ThresholdsOut,
)
from app.reviews.audits import Acceptance, Audit

router = make_router("/projects/{slug}", "Acceptance")


@router.get(
    "/acceptance",
    summary="What is accepted without a person, and what audits say about it",
    response_model=AcceptanceOut,
    responses=responses(NotFound),
)
def get_acceptance(project: ProjectDep, session: SessionDep, principal: CanRead) -> AcceptanceOut:
    return AcceptanceOut(
        stage=RolloutStage(project.stage),
        audit_rate=project.audit_rate,
        labels=[_described(one) for one in audits.overview(session, project)],
        clean_images=_audit(audits.of_clean_images(session, project.id)),
    )


@router.put(
    "/labels/{key}/acceptance",
    summary="Let confident answers about a label be accepted without a person",
    response_model=LabelAcceptanceOut,
    responses=responses(NotFound, Conflict),
)
def start_acceptance(
    project: ProjectDep, key: str, body: ContractIn, session: SessionDep, principal: CanManage
) -> LabelAcceptanceOut:
    """As soon as the project's stage is `auto`. What is open and confident enough is accepted too.
    After a breach, the same error rate needs another live version."""
    label = projects.get_label(session, project.id, key)
    acceptance.start(session, project, label, body.allowed_error, actor_id=principal.user_id)
    return _of_label(session, project, key)


@router.delete(
    "/labels/{key}/acceptance",
    summary="Accept nothing more about a label",
    response_model=LabelAcceptanceOut,
    responses=responses(NotFound, Conflict),
)
def stop_acceptance(
    project: ProjectDep,
    key: str,
    session: SessionDep,
    principal: CanManage,
    take_back: Annotated[
        bool, Query(description="Give back to people what was accepted and nobody has checked.")
    ] = False,
) -> LabelAcceptanceOut:
    label = projects.get_label(session, project.id, key)
    acceptance.stop(session, project, label, takes_back=take_back, actor_id=principal.user_id)
    return _of_label(session, project, key)


def _of_label(session: SessionDep, project: Project, key: str) -> LabelAcceptanceOut:
    found = audits.overview(session, project)
    return next(_described(one) for one in found if one.label.key == key)


def _described(one: Acceptance) -> LabelAcceptanceOut:
    contract = one.contract
    return LabelAcceptanceOut(
        label=one.label.key,
        allowed_error=contract.allowed_error if contract else None,
        since=contract.created_at if contract else None,
        ended_at=contract.ended_at if contract else None,
        end=ContractEnd(contract.end) if contract and contract.end else None,
        takes_back=contract.takes_back if contract else False,
        thresholds=ThresholdsOut(
            present=one.thresholds.get(LabelValue.PRESENT),
            absent=one.thresholds.get(LabelValue.ABSENT),
        ),
        accepted=one.accepted,
        audit=_audit(one.audit),
    )


def _audit(audit: Audit) -> AuditOut:
    return AuditOut(audited=audit.audited, errors=audit.errors, upper_bound=audit.upper_bound)
