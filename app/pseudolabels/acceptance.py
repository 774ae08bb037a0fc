"""Acceptance without a person: which answers a contract lets a model give, and taking them back.

A contract says how many of a label's accepted answers may be wrong. What a model may then accept
follows from what its version promises (`training.promises`), never on photos of the control arm.
Suggestions are accepted as they are made; for those that are open already, and for taking back, the
sweep works through the photos in batches: each is a transaction that finds its rows anew.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from uuid import UUID

from sqlalchemy.orm import Session

from app.annotations import service as annotations
from app.annotations.models import LabelValue, Source
from app.core import audit
from app.core.clock import now
from app.core.errors import Conflict, Invalid, NotFound
from app.images import queue as image_queue
from app.projects import service as projects
from app.projects.models import Counter, Label, Project, RolloutStage
from app.pseudolabels import acceptance_repository as repository
from app.pseudolabels import service
from app.pseudolabels.acceptance_repository import Allowed
from app.pseudolabels.models import (
    AcceptanceContract,
    ContractEnd,
    PseudoLabel,
)
from app.training import service as training
from app.training.models import ModelVersion
from app.training.promises import PROMISED_SHARES, promised_thresholds

BATCH = 200


def start(
    session: Session, project: Project, label: Label, allowed_error: float, *, actor_id: UUID | None
) -> AcceptanceContract:
    """Let answers about a label be accepted from now on, at most so many of them wrong.

    Raises `Invalid` for an error rate that no version makes a promise about, `Conflict` if audits
    found the live version's answers wrong more often than that.
    """
    if allowed_error not in PROMISED_SHARES:
        raise Invalid(f"An allowed error is one of {', '.join(map(str, PROMISED_SHARES))}.")
    projects.hold_project(session, project.id)
    earlier = repository.newest(session, project.id).get(label.id)
    if earlier is not None:
        _ensure_not_refuted(session, earlier, allowed_error)
        if earlier.ended_at is None:
            _end(earlier, ContractEnd.REPLACED)
    session.flush()
    made = AcceptanceContract(project_id=project.id, label_id=label.id, allowed_error=allowed_error)
    session.add(made)
    session.flush()
    _record(session, "acceptance.started", made, actor_id)
    return made


def stop(
    session: Session, project: Project, label: Label, *, takes_back: bool, actor_id: UUID | None
) -> AcceptanceContract:
    """Accept nothing more about a label; with `takes_back` what was accepted goes back to people.

    Raises `NotFound` for a label that never had a contract, `Conflict` if there is nothing to do.
    """
    projects.hold_project(session, project.id)
    contract = repository.newest(session, project.id).get(label.id)
    if contract is None:
        raise NotFound("Nothing was ever accepted automatically about this label.")
    if contract.ended_at is not None and (contract.takes_back or not takes_back):
        raise Conflict("The contract has ended already.")
    if contract.ended_at is None:
        _end(contract, ContractEnd.STOPPED)
    contract.takes_back = takes_back
    session.flush()
    _record(session, "acceptance.stopped", contract, actor_id)
    return contract


def end_breached(session: Session, contract: AcceptanceContract, version_id: UUID) -> None:
    """Audits showed that more of a version's answers is wrong than allowed: nothing more is
    accepted, and what was goes back to people."""
    session.refresh(contract, with_for_update=True)
    if contract.breached_by_id is not None:
        return
    if contract.ended_at is None:
        _end(contract, ContractEnd.BREACHED)
    contract.breached_by_id, contract.takes_back = version_id, True
    session.flush()
    _record(session, "acceptance.breached", contract, None)


def contracts(session: Session, project_id: UUID) -> dict[UUID, AcceptanceContract]:
    """By label id, the contract that was made last, whether it runs or not."""
    return repository.newest(session, project_id)


def accepted_counts(session: Session, project_id: UUID) -> dict[UUID, int]:
    """By label id, how many accepted answers stand that nobody has checked."""
    return repository.accepted_counts(session, project_id)


def thresholds(
    version: ModelVersion | None, contract: AcceptanceContract
) -> dict[LabelValue, float | None]:
    """From which confidence on each answer is accepted; None where too little is promised."""
    promised = promised_thresholds(version, (contract.allowed_error,)) if version else {}
    made = dict(promised.get(str(contract.label_id), []))
    return {value: made.get(value, [None])[0] for value in (LabelValue.PRESENT, LabelValue.ABSENT)}


def accept_new(session: Session, version: ModelVersion, image_ids: Collection[UUID]) -> int:
    """Accept what the live version has just suggested about images that the caller holds, as far
    as contracts allow; returns how many answers."""
    project = projects.get_project_by_id(session, version.project_id)
    if project.stage != RolloutStage.AUTO:
        return 0
    return _accept(session, version, repository.running(session, project.id), image_ids)


def forget_idle(session: Session) -> None:
    """Where a project stopped accepting, all that is open is looked at anew if it begins again."""
    repository.forget_applied(session)


def apply_contracts(session: Session) -> bool:
    """Accept one batch of what was open before its contract began; False when nothing is left."""
    of_project: dict[UUID, list[AcceptanceContract]] = defaultdict(list)
    for contract in repository.in_force(session):
        of_project[contract.project_id].append(contract)
    return any(_apply(session, *one) for one in of_project.items())


def _apply(session: Session, project_id: UUID, running: list[AcceptanceContract]) -> bool:
    live = training.live_version(session, project_id)
    new = [one for one in running if live and one.applied_to_id != live.id]
    if live is None or not new:
        return False
    allowed = _allowed(live, new)
    found = repository.open_and_allowed(session, project_id, live.id, allowed, BATCH)
    if found:
        _accept(session, live, new, image_queue.lock(session, project_id, found))
    else:
        for contract in new:
            contract.applied_to_id = live.id
        session.flush()
    return True


def take_back(session: Session) -> bool:
    """Give one batch of accepted answers back to people; False when nothing is left."""
    for contract in repository.to_take_back(session):
        found = repository.accepted_under(session, contract.id, BATCH)
        held = image_queue.lock(session, contract.project_id, found)
        rows = repository.lock_accepted(session, held, contract.id)
        if rows:
            _take_back(session, contract.project_id, rows)
            return True
    return False


def audit_due(session: Session, image_ids: Collection[UUID]) -> set[UUID]:
    """Those that a person is to answer without suggestions, to check what was accepted."""
    return repository.due_for_audit(session, image_ids)


def lock_accepted(session: Session, image_id: UUID) -> list[PseudoLabel]:
    """Hold what a model decided about an image and nobody has checked."""
    return repository.lock_accepted(session, [image_id])


def clear(session: Session, image_ids: Collection[UUID]) -> None:
    """Images on which people and models together leave nothing open leave the queue, except for
    those that are to be audited."""
    done = repository.done(session, image_ids)
    opened = repository.opened(session, done)
    image_queue.mark_reviewed(session, opened)
    image_queue.mark_cleared(session, done - opened)


def _accept(
    session: Session,
    version: ModelVersion,
    running: Iterable[AcceptanceContract],
    image_ids: Collection[UUID],
) -> int:
    allowed = _allowed(version, running)
    accepted = repository.accept(session, version.id, allowed, image_ids) if allowed else []
    values: dict[UUID, dict[UUID, LabelValue]] = defaultdict(dict)
    for row in accepted:
        values[row.image_id][row.label_id] = LabelValue(row.value)
    _state(session, version.project_id, values)
    projects.adjust_counter(
        session, version.project_id, Counter.PENDING_PSEUDO_LABELS, -len(accepted)
    )
    clear(session, values.keys())
    return len(accepted)


def _allowed(version: ModelVersion, running: Iterable[AcceptanceContract]) -> list[Allowed]:
    return [
        Allowed(contract.label_id, value, threshold, contract.id)
        for contract in running
        for value, threshold in thresholds(version, contract).items()
        if threshold is not None
    ]


def _take_back(session: Session, project_id: UUID, rows: list[PseudoLabel]) -> None:
    """The statements that named these answers are undone, and what else they said is restated."""
    taken: dict[UUID, set[UUID]] = defaultdict(set)
    for row in rows:
        taken[row.image_id].add(row.label_id)
    annotations.withdraw(session, project_id, taken, source=Source.AUTO)
    for row in rows:
        service.put_back(session, row)
    image_queue.reopen(session, taken.keys())
    clear(session, taken.keys())


def _state(
    session: Session, project_id: UUID, values: Mapping[UUID, Mapping[UUID, LabelValue]]
) -> None:
    annotations.append_entries(
        session,
        project_id=project_id,
        author_id=None,
        entries=[
            annotations.Entry(image_id, said, circumstances={"source": Source.AUTO})
            for image_id, said in values.items()
        ],
    )


def _ensure_not_refuted(
    session: Session, earlier: AcceptanceContract, allowed_error: float
) -> None:
    live = training.live_version(session, earlier.project_id)
    if live and earlier.breached_by_id == live.id and allowed_error <= earlier.allowed_error:
        raise Conflict(
            f"Audits showed that more than {earlier.allowed_error:.0%} of what version "
            f"{live.number} says about this label is wrong. Train again, or allow more errors."
        )


def _end(contract: AcceptanceContract, end: ContractEnd) -> None:
    contract.ended_at, contract.end = now(), end


def _record(
    session: Session, action: str, contract: AcceptanceContract, actor_id: UUID | None
) -> None:
    audit.record(
        session,
        action,
        "label",
        contract.label_id,
        actor_id=actor_id,
        project_id=contract.project_id,
        after={"allowed_error": contract.allowed_error, "takes_back": contract.takes_back},
    )
