"""Searches on pages: what to show while a worker reads the words, and when it does not answer."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from sqlalchemy.orm import Session

from app.catalog import search
from app.catalog.filters import ImageFilter
from app.catalog.search import Found, SearchState
from app.catalog.service import Entry
from app.core.errors import Conflict, Invalid, NotFound, Unavailable
from app.images.models import ImageState
from app.projects.models import Project

WAIT_MS = 500
LONGEST_WAIT = 40  # of these
SIMILAR = 8


class Outcome(StrEnum):
    """What the person is told."""

    FOUND = "found"
    WAITING = "waiting"
    NO_ANSWER = "no_answer"
    NOT_ENGLISH = "not_english"
    NO_VECTORS = "no_vectors"
    NO_BACKBONE = "no_backbone"
    GONE = "gone"


@dataclass(frozen=True)
class Search:
    """A search as a page shows it; `again` is where to ask once more, if it is not answered."""

    outcome: Outcome
    again: str
    prompts: tuple[str, ...] = ()
    entries: list[Entry] = field(default_factory=list)


OUTCOMES: dict[type[Exception], Outcome] = {
    Invalid: Outcome.NOT_ENGLISH,
    Unavailable: Outcome.NO_VECTORS,
    Conflict: Outcome.NO_BACKBONE,
    NotFound: Outcome.GONE,
}


def look_for(ask: Callable[[], Found], *, again: str, waited: int) -> Search:
    """The outcome of a search that was asked `waited` times before."""
    try:
        found = ask()
    except tuple(OUTCOMES) as error:
        return Search(OUTCOMES[type(error)], again)
    if found.state is SearchState.READY:
        return Search(Outcome.FOUND, again, found.prompts, [entry for entry, _ in found.hits])
    outcome = Outcome.WAITING if waited < LONGEST_WAIT else Outcome.NO_ANSWER
    return Search(outcome, again, found.prompts)


def similar_photos(session: Session, project: Project, image_id: UUID) -> list[Entry]:
    """A few photos that look like this one; none before a worker has seen it."""
    wanted = ImageFilter(state=ImageState.READY)
    found = look_for(
        lambda: search.like_image(session, project, wanted, image_id, limit=SIMILAR),
        again="",
        waited=0,
    )
    return found.entries
