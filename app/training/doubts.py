"""Answers of people that a training found improbable: kept beside its weights, for a second look.

They are hints. Nobody's answer changes because of them.
"""

from collections.abc import Sequence
from uuid import UUID

from pydantic import BaseModel, TypeAdapter
from sqlalchemy.orm import Session

from app.annotations import service as annotations
from app.annotations.models import LabelValue
from app.core.storage import ObjectStore
from app.images import service as images
from app.training.models import ModelVersion

FILE = "doubtful.json"


class Doubt(BaseModel):
    """One answer, and the held-out probability that it is right, 0..1."""

    image_id: UUID
    label_id: UUID
    value: LabelValue
    probability: float


_DOUBTS = TypeAdapter(list[Doubt])


def keep(store: ObjectStore, prefix: str, doubts: Sequence[Doubt]) -> None:
    """Write them beside the weights that lie under `prefix`."""
    store.put(f"{prefix}/{FILE}", _DOUBTS.dump_json(list(doubts)))


def still_standing(session: Session, store: ObjectStore, version: ModelVersion) -> list[Doubt]:
    """Those of a version that still are what people say of photos that are still there, the least
    probable first."""
    key = f"{version.weights_prefix}/{FILE}"
    if store.size(key) is None:  # versions of before did not look for any
        return []
    doubts = _DOUBTS.validate_json(store.get(key))
    asked = {doubt.image_id for doubt in doubts}
    present = {image.id for image in images.get_images(session, version.project_id, asked)}
    truth = annotations.truth(session, present)

    def stands(doubt: Doubt) -> bool:
        said = truth.get(doubt.image_id, {}).get(doubt.label_id)
        return said is not None and said.value == doubt.value

    return [doubt for doubt in doubts if stands(doubt)]
