"""Where the heat maps of a version's suggestions lie: one small file for each photo.

It is JSON, label id to PNG in base64. A photo and a version always give the same maps, so a file
written twice says the same, and one that no suggestion names is not looked at.
"""

import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from uuid import UUID

from app.core.errors import NotFound
from app.core.storage import ObjectStore

MEDIA_TYPE = "image/png"


def prefix(image_id: UUID) -> str:
    """Fanned out by the end of the id, which is random; its start is the time."""
    name = str(image_id)
    return f"heat-maps/{name[-2:]}/{name[-4:-2]}/{name}"


def key(image_id: UUID, version_id: UUID) -> str:
    return f"{prefix(image_id)}/{version_id}.json"


def write(
    store: ObjectStore, image_id: UUID, version_id: UUID, pictures: Mapping[UUID, bytes]
) -> None:
    """Keep the maps of a photo's labels, PNGs by label id."""
    document = {str(x): base64.b64encode(picture).decode() for x, picture in pictures.items()}
    store.put(key(image_id, version_id), json.dumps(document).encode())


def read(store: ObjectStore, image_id: UUID, version_id: UUID, label_id: UUID) -> bytes | None:
    """One label's PNG; None where there is none."""
    with suppress(NotFound):
        document: dict[str, str] = json.loads(store.get(key(image_id, version_id)))
        if str(label_id) in document:
            return base64.b64decode(document[str(label_id)])
    return None


def remove(store: ObjectStore, image_id: UUID) -> None:
    """Delete what any version said about a photo."""
    for name in list(store.keys(prefix(image_id))):
        store.delete(name)
