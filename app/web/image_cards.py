"""A photo in the grid, and what its caption says: put together here, since a page has dozens."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.annotations.models import LabelValue
from app.catalog.service import Entry
from app.images.models import Image
from app.projects.models import Label


@dataclass(frozen=True)
class Card:
    """`others`: further photos of its burst that it stands for. `has_no_defect`: somebody said so
    of every label."""

    image: Image
    others: int
    stated: list[tuple[Label, LabelValue]]
    suggested: list[tuple[Label, float]]
    has_no_defect: bool


def cards_of(entries: Iterable[Entry], labels: Sequence[Label]) -> list[Card]:
    by_id = {label.id: label for label in labels}
    return [
        Card(
            image=entry.image,
            others=entry.stands_for - 1,
            stated=[
                (label, known.value)
                for label in labels
                if (known := entry.truth.get(label.id)) and known.value is not LabelValue.ABSENT
            ],
            suggested=[
                (by_id[row.label_id], row.confidence)
                for row in entry.pseudo_labels
                if row.value == LabelValue.PRESENT and row.label_id in by_id
            ],
            has_no_defect=_has_no_defect(entry, len(labels)),
        )
        for entry in entries
    ]


def _has_no_defect(entry: Entry, labels: int) -> bool:
    said = {known.value for known in entry.truth.values()}
    return said == {LabelValue.ABSENT} and len(entry.truth) >= labels
