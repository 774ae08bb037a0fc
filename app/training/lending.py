"""Context groups that one project lends another, where both name labels by the same keys."""

from uuid import UUID

from sqlalchemy.orm import Session

from app.annotations import service as annotations
from app.core.errors import Conflict
from app.jobs.contracts import LentGroups
from app.projects import service as projects
from app.projects.models import Project
from app.training import service


def lend_groups(session: Session, lender_slug: str, *, borrower: Project) -> LentGroups:
    """The groups of the lender's live version, under the keys that its labels have now.

    Raises `NotFound` for a project that there is not, `Conflict` where it has no groups or they
    say nothing about the borrower's labels.
    """
    lender = projects.get_project(session, lender_slug)
    version = service.live_version(session, lender.id)
    if version is None:
        raise Conflict(f"The project '{lender.slug}' has no live model to take groups from.")
    keys = annotations.label_keys(session, lender.id)
    assignment = version.card.get("contexts", {}).get("assignment", [])
    groups = {
        keys[UUID(label_id)]: group
        for label_id, group in zip(version.label_ids, assignment, strict=False)
    }
    shared = {label.key for label in projects.list_labels(session, borrower.id)} & groups.keys()
    if len({groups[key] for key in shared}) < 2:
        raise Conflict(
            f"The groups of '{lender.slug}' say nothing about the labels here: labels of two of "
            "its groups must have the same keys in both projects."
        )
    return LentGroups(origin=f"{lender.slug}/models/{version.number}", groups=groups)
