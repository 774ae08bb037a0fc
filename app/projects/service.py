"""Rules of projects: their settings, their labels, and the counters that spare a COUNT(*).

A label is named by its id wherever it was used, so renaming changes nothing that people said.
A label added later (or brought back from the archive) is undecided on images that were finished
before; those are not reopened, training learns it from the images that name it.
"""

import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypedDict, Unpack
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.core import audit
from app.core.clock import now
from app.core.errors import Conflict, Invalid, NotFound
from app.core.ids import new_id
from app.core.pagination import Slice
from app.projects import counting, glossary, repository, rules
from app.projects.models import Counter, Label, Project, RolloutStage

RATES = ("control_rate", "audit_rate", "evaluation_rate", "gate_margin")


class ProjectSettings(TypedDict, total=False):
    """What may be chosen when a project is made; all but `simulated` may change later."""

    description: str
    stage: RolloutStage
    backbone: str
    time_zone: str
    hourly_cost: Decimal
    currency: str
    control_rate: float
    audit_rate: float
    evaluation_rate: float
    gate_margin: float
    simulated: bool


class LabelSettings(TypedDict, total=False):
    prompts: list[str]
    hotkey: str | None
    colour: str
    miss_cost: float
    is_guarded: bool


class LabelChanges(LabelSettings, total=False):
    key: str
    names: dict[str, str]


def create_project(
    session: Session,
    *,
    slug: str,
    name: str,
    actor_id: UUID | None,
    **settings: Unpack[ProjectSettings],
) -> Project:
    """Raises `Conflict` for a slug that is taken, `Invalid` for settings that cannot be."""
    rules.check_slug(slug)
    _check_settings(settings)
    if repository.slug_is_taken(session, slug):
        raise Conflict(f"There is a project '{slug}' already.")
    project = Project(
        id=new_id(), slug=slug, name=name, draw_secret=secrets.token_bytes(32), **settings
    )
    session.add(project)
    try:
        session.flush()
    except IntegrityError as error:
        raise Conflict(f"There is a project '{slug}' already.") from error
    _record(session, "project.created", project, actor_id, after={"slug": slug, "name": name})
    return project


def get_project(session: Session, slug: str) -> Project:
    project = repository.find(session, slug)
    if project is None:
        raise NotFound(f"There is no project '{slug}'.")
    return project


def get_project_by_id(session: Session, project_id: UUID) -> Project:
    """Raises `NotFound` also for a project that was deleted."""
    project = repository.find_by_id(session, project_id)
    if project is None:
        raise NotFound("This project was deleted.")
    return project


def projects_by_id(session: Session, project_ids: Collection[UUID]) -> dict[UUID, Project]:
    """Those of them that were not deleted."""
    return {project.id: project for project in repository.find_all(session, project_ids)}


def list_projects(session: Session, *, include_archived: bool = False) -> list[Project]:
    return repository.list_all(session, include_archived=include_archived)


def page_of_projects(
    session: Session, *, include_archived: bool = False, cursor: str | None = None, limit: int = 50
) -> Slice[Project]:
    """Projects, the youngest first."""
    return repository.listing(
        session, include_archived=include_archived, cursor=cursor, limit=limit
    )


def hold_project(session: Session, project_id: UUID) -> Project:
    """The project as it is now, held until the transaction ends, so that an edit loses none."""
    project = repository.lock(session, project_id)
    if project is None or project.deleted_at is not None:
        raise NotFound("This project was deleted.")
    return project


def edit_project(
    session: Session, project: Project, changes: Mapping[str, Any], *, actor_id: UUID | None
) -> Project:
    """Change the settings named in `changes`; `is_archived` moves it into the archive or back."""
    wanted = dict(changes)
    if "is_archived" in wanted:
        wanted["archived_at"] = _archived_at(project.archived_at, wanted.pop("is_archived"))
    _check_settings(wanted)
    before = _apply(project, wanted)
    session.flush()
    if before:
        after = {name: wanted[name] for name in before}
        _record(session, "project.edited", project, actor_id, before=before, after=after)
    return project


def hide_project(session: Session, project: Project, *, actor_id: UUID | None) -> None:
    """Delete a project for everybody at once. Its slug is free again; its rows are purged later
    and leave this row, without a name, and the audit trail."""
    before = {"slug": project.slug, "name": project.name}
    project.deleted_at = now()
    project.slug = f"deleted-{project.id}"
    project.name = project.description = ""
    project.version += 1
    session.flush()
    _record(session, "project.deleted", project, actor_id, before=before)


def list_labels(
    session: Session, project_id: UUID, *, include_archived: bool = False
) -> list[Label]:
    """Labels in the order that people gave them."""
    return repository.labels(session, project_id, include_archived=include_archived)


def labels_by_key(session: Session, project_id: UUID) -> dict[str, Label]:
    """Every label by its key, archived ones included."""
    labels = repository.labels(session, project_id, include_archived=True)
    return {label.key: label for label in labels}


def labels_by_id(session: Session, label_ids: Collection[UUID]) -> dict[UUID, Label]:
    """Of any project, archived ones included."""
    return {label.id: label for label in repository.labels_among(session, label_ids)}


def get_label(session: Session, project_id: UUID, key: str) -> Label:
    label = repository.find_label(session, project_id, key)
    if label is None:
        raise NotFound(f"This project has no label '{key}'.")
    return label


def create_label(
    session: Session,
    project: Project,
    *,
    key: str,
    names: dict[str, str],
    actor_id: UUID | None,
    **settings: Unpack[LabelSettings],
) -> Label:
    """Add a label at the end. Without prompts it gets those that the glossary has for its name.

    Raises `Conflict` for a key or hotkey that is taken, `Invalid` for what cannot be.
    """
    rules.check_key(key)
    hold_project(session, project.id)
    others = list_labels(session, project.id, include_archived=True)
    names = rules.plain_names(names)
    prompts = rules.plain_prompts(settings.get("prompts", []))
    label = Label(
        project_id=project.id,
        key=key,
        names=names,
        prompts=prompts or glossary.prompts(names),
        hotkey=rules.plain_hotkey(settings.get("hotkey")),
        colour=settings.get("colour") or rules.PALETTE[len(others) % len(rules.PALETTE)],
        miss_cost=settings.get("miss_cost", 1.0),
        is_guarded=settings.get("is_guarded", True),
        position=max((other.position + 1 for other in others), default=0),
    )
    _check_words(key, label.hotkey, others)
    session.add(label)
    session.flush()
    _record_label(session, "label.created", label, actor_id, after=_described(label))
    return label


def edit_label(
    session: Session, label: Label, changes: LabelChanges, *, actor_id: UUID | None
) -> Label:
    """Change what `changes` names. Prompts that came from the glossary follow the names."""
    hold_project(session, label.project_id)
    wanted = _plain_changes(changes)
    wanted["prompts"] = _prompts_after(label, wanted)
    _check_free(session, label, wanted)
    before = _apply(label, wanted)
    session.flush()
    if before:
        after = {name: wanted[name] for name in before}
        _record_label(session, "label.edited", label, actor_id, before=before, after=after)
    return label


def archive_label(
    session: Session, label: Label, *, is_archived: bool, actor_id: UUID | None
) -> Label:
    """Put a label away or bring it back; what people said with it stays either way.

    Call `catalog` for it, which also puts aside what models ask about it.
    Raises `Conflict` when its hotkey belongs to another label by now.
    """
    hold_project(session, label.project_id)
    wanted = {"archived_at": _archived_at(label.archived_at, is_archived)}
    _check_free(session, label, wanted)
    if _apply(label, wanted):
        session.flush()
        action = "label.archived" if is_archived else "label.unarchived"
        _record_label(session, action, label, actor_id)
    return label


def order_labels(
    session: Session, project: Project, keys: Sequence[str], *, actor_id: UUID | None
) -> list[Label]:
    """Put the active labels into this order, which is the project's. Raises `Invalid` unless each
    is named once."""
    project = hold_project(session, project.id)
    labels = {label.key: label for label in list_labels(session, project.id)}
    if sorted(keys) != sorted(labels):
        raise Invalid("An order names every label that is not archived, once.")
    before = list(labels)
    if before == list(keys):
        return list(labels.values())
    for position, key in enumerate(keys):
        if labels[key].position != position:
            labels[key].position = position
            labels[key].version += 1
    project.version += 1
    session.flush()
    _record(
        session,
        "labels.ordered",
        project,
        actor_id,
        before={"keys": before},
        after={"keys": list(keys)},
    )
    return [labels[key] for key in keys]


def counters(session: Session, project_id: UUID) -> dict[Counter, int]:
    """What was counted so far, by this transaction too; a counter never used is not in it."""
    return counting.read(session, [project_id])[project_id]


def counters_of(session: Session, project_ids: Collection[UUID]) -> dict[UUID, dict[Counter, int]]:
    """The counters of many projects, one query."""
    return counting.read(session, project_ids)


def adjust_counter(session: Session, project_id: UUID, counter: Counter, by: int) -> None:
    """Raise or lower a counter when this transaction commits."""
    counting.adjust(session, project_id, counter, by)


def _check_settings(settings: Mapping[str, Any]) -> None:
    if "time_zone" in settings:
        rules.check_time_zone(settings["time_zone"])
    if "currency" in settings:
        rules.check_currency(settings["currency"])
    for name in RATES:
        if not 0 <= settings.get(name, 0) <= 1:
            raise Invalid(
                f"{name} lies between 0 and 1.",
                errors=[{"pointer": f"#/{name}", "detail": "not between 0 and 1"}],
            )


def _check_free(session: Session, label: Label, wanted: Mapping[str, Any]) -> None:
    """Whether the key and, unless it stays in the archive, the hotkey are nobody else's."""
    labels = list_labels(session, label.project_id, include_archived=True)
    is_active = wanted.get("archived_at", label.archived_at) is None
    hotkey = wanted.get("hotkey", label.hotkey) if is_active else None
    others = [other for other in labels if other.id != label.id]
    _check_words(wanted.get("key", label.key), hotkey, others)


def _check_words(key: str, hotkey: str | None, others: Sequence[Label]) -> None:
    if any(other.key == key for other in others):
        raise Conflict(f"There is a label '{key}' already.")
    for other in others:
        if hotkey is not None and other.hotkey == hotkey and other.archived_at is None:
            raise Conflict(f"The hotkey '{hotkey}' belongs to the label '{other.key}'.")


def _plain_changes(changes: LabelChanges) -> dict[str, Any]:
    plain: dict[str, Any] = dict(changes)
    if "key" in changes:
        rules.check_key(changes["key"])
    if "hotkey" in changes:
        plain["hotkey"] = rules.plain_hotkey(changes["hotkey"])
    if "names" in changes:
        plain["names"] = rules.plain_names(changes["names"])
    return plain


def _prompts_after(label: Label, wanted: Mapping[str, Any]) -> list[str]:
    """A person's prompts stay. Others, and emptied ones, come from the glossary for the names."""
    names = wanted.get("names", label.names)
    given = rules.plain_prompts(wanted.get("prompts", label.prompts))
    is_automatic = given == label.prompts and given == glossary.prompts(label.names)
    return glossary.prompts(names) if not given or is_automatic else given


def _archived_at(before: datetime | None, is_archived: bool) -> datetime | None:
    return (before or now()) if is_archived else None


def _apply(row: Project | Label, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Set what differs and raise the version once; returns what it was before."""
    before = {name: old for name, value in wanted.items() if (old := getattr(row, name)) != value}
    for name in before:
        setattr(row, name, wanted[name])
    if before:
        row.version += 1
    return before


def _described(label: Label) -> dict[str, Any]:
    return {"key": label.key, "names": label.names, "prompts": label.prompts}


def _record(
    session: Session, action: str, project: Project, actor_id: UUID | None, **values: Any
) -> None:
    audit.record(
        session,
        action,
        "project",
        project.id,
        actor_id=actor_id,
        project_id=project.id,
        **{side: _plain(value) for side, value in values.items()},
    )


def _record_label(
    session: Session, action: str, label: Label, actor_id: UUID | None, **values: Any
) -> None:
    audit.record(
        session,
        action,
        "label",
        label.id,
        actor_id=actor_id,
        project_id=label.project_id,
        **{side: _plain(value) for side, value in values.items()},
    )


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: str(v) if isinstance(v, datetime | Decimal) else v for k, v in values.items()}
