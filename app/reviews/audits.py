"""The audit sample: what people say, without suggestions, about answers that models gave alone.

A share of the photos on which something was accepted is answered blindly, for ever. Where the
answers refute a contract, it ends, and what was accepted under it goes back to people.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from app.annotations.models import LabelValue
from app.projects import service as projects
from app.projects.models import Label, Project
from app.pseudolabels import acceptance
from app.pseudolabels.models import AcceptanceContract
from app.reviews import repository
from app.reviews.audit_evidence import error_upper_bound, is_refuted
from app.training import service as training


@dataclass(frozen=True)
class Audit:
    """Of accepted answers, those that people have checked blindly, and how many were wrong."""

    audited: int = 0
    errors: int = 0

    def __add__(self, other: "Audit") -> "Audit":
        return Audit(self.audited + other.audited, self.errors + other.errors)

    @property
    def upper_bound(self) -> float | None:
        return error_upper_bound(self.errors, self.audited)


@dataclass(frozen=True)
class Acceptance:
    """How it stands with a label: its newest contract, the confidence that the live version's
    answers must reach, and what was accepted and checked."""

    label: Label
    contract: AcceptanceContract | None
    thresholds: Mapping[LabelValue, float | None]
    accepted: int
    audit: Audit


def overview(session: Session, project: Project) -> list[Acceptance]:
    """Each active label, in the order that people gave them."""
    live = training.live_version(session, project.id)
    contracts = acceptance.contracts(session, project.id)
    accepted = acceptance.accepted_counts(session, project.id)
    audits = _of_contracts(session, project.id)
    found = []
    for label in projects.list_labels(session, project.id):
        contract = contracts.get(label.id)
        limits = acceptance.thresholds(live, contract) if contract else {}
        audit = audits[contract.id] if contract else Audit()
        found.append(Acceptance(label, contract, limits, accepted.get(label.id, 0), audit))
    return found


def judge(session: Session, project_id: UUID, contract_ids: Collection[UUID | None]) -> None:
    """End those of these contracts that what people said by now refutes.

    Each version is judged by its own answers: a long good history does not excuse a bad one.
    """
    of_label = acceptance.contracts(session, project_id).values()
    contracts = {one.id: one for one in of_label if one.id in contract_ids}
    for (contract_id, version_id), audit in _counted(session, project_id).items():
        contract = contracts.get(contract_id)
        if contract and is_refuted(audit.errors, audit.audited, contract.allowed_error):
            acceptance.end_breached(session, contract, version_id)


def _of_contracts(session: Session, project_id: UUID) -> dict[UUID, Audit]:
    """By contract, all that was audited under it; none of one that is not in it."""
    totals: dict[UUID, Audit] = defaultdict(Audit)
    for (contract_id, _), audit in _counted(session, project_id).items():
        totals[contract_id] += audit
    return totals


def of_clean_images(session: Session, project_id: UUID) -> Audit:
    """Audited images of which models had said nothing but that labels are absent: in how many did
    people find one of those?"""
    return Audit(*repository.audited_clean_images(session, project_id))


def _counted(session: Session, project_id: UUID) -> dict[tuple[UUID, UUID], Audit]:
    rows = repository.audited_answers(session, project_id)
    return {(contract_id, version_id): Audit(*counts) for contract_id, version_id, *counts in rows}
