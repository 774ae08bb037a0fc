"""Heat maps of what is suggested: which are wanted, and where they are kept.

Maps are files of their photo, written before the transaction that names them and deleted after the
one that no longer does: nobody waits for a lock meanwhile, and what `kill -9` leaves between the
two is a file that no suggestion names, which goes with the photo.
"""

from collections.abc import Collection, Sequence
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from app.annotations import service as annotations
from app.core.storage import ObjectStore
from app.images.models import Image, Split
from app.projects import service as projects
from app.pseudolabels import heat_maps
from app.training.models import ModelVersion
from worker.base_task import ChunkRun
from worker.engine.looking import Pictures


def open_to_people(
    session: Session, version: ModelVersion, photos: Sequence[Image]
) -> NDArray[np.bool_]:
    """Photos (N,) of which the version may suggest something: a label in use is undecided."""
    active = {label.id for label in projects.list_labels(session, version.project_id)}
    asked = active & {UUID(label_id) for label_id in version.label_ids}
    known = annotations.truth(session, [photo.id for photo in photos])
    return np.array(
        [photo.split == Split.TRAIN and not asked <= known[photo.id].keys() for photo in photos],
        dtype=bool,
    )


def keep(
    run: ChunkRun, version: ModelVersion, photos: Sequence[Image], pictures: Sequence[Pictures]
) -> None:
    """Write the maps of each photo that has any."""
    label_ids = [UUID(label_id) for label_id in version.label_ids]
    for photo, of_photo in zip(photos, pictures, strict=True):
        if of_photo:
            run.tick()
            by_label = {label_ids[column]: picture for column, picture in of_photo.items()}
            heat_maps.write(run.store, photo.id, version.id, by_label)


def delete(store: ObjectStore, forgotten: Collection[tuple[UUID, UUID]]) -> None:
    """Delete the maps that no suggestion names any more, by image and version."""
    for image_id, version_id in forgotten:
        store.delete(heat_maps.key(image_id, version_id))
