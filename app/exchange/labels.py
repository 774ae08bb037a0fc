"""What a file's word for a label means in a project: its key, one of its names, or a new label."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy.orm import Session

from app.core.errors import Invalid
from app.exchange.records import DeclaredLabel
from app.projects import service as projects
from app.projects.models import Label, Project
from app.projects.rules import LONGEST_WORD

MAX_NEW_LABELS = 100
_SPACES = re.compile(r"[\s_\-]+")
_NO_KEY = re.compile(r"[^a-z0-9]+")


class LabelBook:
    """The active labels of a project by every word that means them."""

    def __init__(self, labels: Iterable[Label]) -> None:
        self._by_word: dict[str, str] = {}
        self.keys: list[str] = []
        self.taken: set[str] = set()
        for label in labels:
            self.taken.add(label.key)
            if label.archived_at is None:
                self.keys.append(label.key)
        for label in labels:
            if label.archived_at is None:
                for word in (label.key, *label.names.values()):
                    self._by_word.setdefault(_plain(word), label.key)

    def find(self, word: str) -> str | None:
        """The key of the label; None for one that the project does not have, or put away."""
        return word if word in self.keys else self._by_word.get(_plain(word))


def read_book(session: Session, project_id: UUID) -> LabelBook:
    return LabelBook(projects.list_labels(session, project_id, include_archived=True))


def create_missing(
    session: Session, project: Project, words: Sequence[DeclaredLabel], *, actor_id: UUID | None
) -> list[str]:
    """Add a label for each word that means none yet; returns their keys.

    A word whose key was put into the archive is left alone: people decided against it.
    """
    book = read_book(session, project.id)
    missing = {_plain(word.key): word for word in words if not _is_known(book, word.key)}
    if len(missing) > MAX_NEW_LABELS:
        raise Invalid(
            f"The file names {len(missing)} labels that the project lacks; at most "
            f"{MAX_NEW_LABELS} are created at once. Is this the right column?"
        )
    created = []
    for word in missing.values():
        key = key_for(word.key, taken=book.taken)
        language = "en" if word.key.isascii() else "ja"
        projects.create_label(
            session,
            project,
            key=key,
            names={language: word.key},
            actor_id=actor_id,
            prompts=[word.phrase] if word.phrase else [],
        )
        book.taken.add(key)
        created.append(key)
    return created


def key_for(word: str, *, taken: Iterable[str] = ()) -> str:
    """A key that looks like the word, and is nobody else's."""
    digest = hashlib.sha256(word.encode()).hexdigest()[:8]
    plain = _NO_KEY.sub("_", unicodedata.normalize("NFKC", word).lower()).strip("_")
    key = word if re.fullmatch(r"[a-z0-9_\-]+", word) else plain
    key = key[:LONGEST_WORD] or f"label_{digest}"
    return f"{key[: LONGEST_WORD - 9]}_{digest}" if key in set(taken) else key


def _is_known(book: LabelBook, word: str) -> bool:
    return book.find(word) is not None or word in book.taken


def _plain(word: str) -> str:
    return _SPACES.sub("_", unicodedata.normalize("NFKC", word).casefold().strip())
