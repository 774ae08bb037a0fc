"""Searching: photos that are nearest to what a person wrote, to sentences, or to another photo.

The service cannot read; a worker does it once per sentence. Until it has, a search is `pending`:
ask again in a moment. Photos that no worker has looked at yet are not among the results.
"""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

from sqlalchemy.orm import Session

from app.catalog import repository
from app.catalog.filters import ImageFilter
from app.catalog.service import Entry, entries_of
from app.core import vectors
from app.core.errors import Conflict, Invalid, Unavailable
from app.images import embeddings
from app.images import service as images
from app.images.embeddings import Embedding
from app.projects import glossary
from app.projects import service as projects
from app.projects.models import Label, Project
from app.projects.rules import plain_prompts

ENGLISH_ONLY = "kizu-small"
MOST_RESULTS = 200


class SearchState(StrEnum):
    READY = "ready"
    PENDING = "pending"


@dataclass(frozen=True)
class Found:
    """`prompts` are the sentences that were looked for; entries come best first, with a cosine."""

    state: SearchState
    prompts: tuple[str, ...] = ()
    hits: tuple[tuple[Entry, float], ...] = ()


def by_text(
    session: Session, project: Project, wanted: ImageFilter, text: str, *, limit: int
) -> Found:
    """Photos that look like what a person wrote. Raises `Invalid` for what no backbone reads."""
    prompts = sentences(project, projects.list_labels(session, project.id), text)
    return by_prompts(session, project, wanted, prompts, limit=limit)


def by_prompts(
    session: Session, project: Project, wanted: ImageFilter, prompts: Sequence[str], *, limit: int
) -> Found:
    """Photos that are nearest to the mean of these sentences."""
    _ensure_possible(session)
    asked = tuple(plain_prompts(list(prompts)))
    answers = embeddings.answers(session, project.backbone, asked)
    if answers is None:
        return Found(SearchState.PENDING, asked)
    problem = next((one.problem for one in answers.values() if one.problem), None)
    if problem is not None:
        raise Conflict(f"The backbone {project.backbone} cannot be asked: {problem}")
    known = [one.embedding for one in answers.values() if one.embedding is not None]
    return _nearest(session, project, wanted, _mean(known), prompts=asked, limit=limit)


def like_image(
    session: Session, project: Project, wanted: ImageFilter, image_id: UUID, *, limit: int
) -> Found:
    """Photos that look like one of the project's; that one is left out."""
    _ensure_possible(session)
    image = images.get_image(session, project.id, image_id)
    row = embeddings.of_image(session, image.id, project.backbone)
    if row is None:
        return Found(SearchState.PENDING)
    if row.embedding is None:
        raise Conflict("Nothing could be made of this photo's picture.")
    found = _nearest(session, project, wanted, row.embedding, prompts=(), limit=limit + 1)
    others = [hit for hit in found.hits if hit[0].image.id != image.id]
    return replace(found, hits=tuple(others[:limit]))


def sentences(project: Project, labels: Sequence[Label], text: str) -> list[str]:
    """The English sentences to look for: those of the label of that name, or of a term of the
    glossary, or what was written itself."""
    wanted = glossary.normalised(text)
    for label in labels:
        names = {glossary.normalised(name) for name in (label.key, *label.names.values())}
        if wanted in names and label.prompts:
            return label.prompts
    plain = unicodedata.normalize("NFKC", text).strip()
    if plain.isascii():
        return [plain, *(sentence.format(phrase=plain) for sentence in glossary.SENTENCES)]
    known = glossary.prompts({"ja": text})
    if not known and project.backbone == ENGLISH_ONLY:
        raise Invalid(
            "The backbone reads English only, and the glossary does not know these words.",
            errors=[{"pointer": "#/text", "detail": "not English, no label, no defect term"}],
        )
    return known or [text]


def _ensure_possible(session: Session) -> None:
    if not vectors.has_extension(session):
        raise Unavailable(
            "Searching needs pgvector, which this database has not. As its superuser: "
            "CREATE EXTENSION vector;"
        )


def _nearest(
    session: Session,
    project: Project,
    wanted: ImageFilter,
    vector: Embedding,
    *,
    prompts: tuple[str, ...],
    limit: int,
) -> Found:
    hits = repository.nearest(
        session, project.id, wanted, vector, backbone=project.backbone, limit=limit
    )
    entries = entries_of(session, [image for image, _ in hits])
    scored = tuple(zip(entries, (score for _, score in hits), strict=True))
    return Found(SearchState.READY, prompts, scored)


def _mean(vectors_: Sequence[Embedding]) -> Embedding:
    """The direction in the middle of directions, unit length."""
    total = [sum(column) for column in zip(*vectors_, strict=True)]
    length = math.hypot(*total) or 1.0
    return [value / length for value in total]
