"""Which photo of a project a record is about, when the photo itself did not come with it."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.orm import Session

from app.core.errors import NotFound
from app.core.multipart import plain_name
from app.exchange import repository
from app.exchange.names import digest_in
from app.exchange.records import Record


def match(session: Session, project_id: UUID, records: Sequence[Record]) -> list[UUID | NotFound]:
    """An image for each record, by its SHA-256 where it has one, else by its name; or the
    sentence that says why there is none. Two queries, however many records."""
    digests = [record.sha256 or digest_in(record.file_name) for record in records]
    names = {plain_name(record.file_name) for record in records}
    by_name: dict[str, list[UUID]] = defaultdict(list)
    for name, image_id in repository.find_by_names(session, project_id, names):
        by_name[name].append(image_id)
    known = repository.find_by_digests(session, project_id, {d for d in digests if d})
    return [
        _pick(record, digest, by_name[plain_name(record.file_name)], known)
        for record, digest in zip(records, digests, strict=True)
    ]


def _pick(
    record: Record,
    digest: str | None,
    named: Sequence[UUID],
    known: Sequence[tuple[str, UUID]],
) -> UUID | NotFound:
    if digest is not None:
        fitting = [image_id for sha256, image_id in known if sha256.startswith(digest)]
        if len(fitting) == 1:
            return fitting[0]
    if record.sha256 is not None:
        return NotFound("The project has no photo with this SHA-256.")
    if len(named) > 1:
        return NotFound(f"The project has {len(named)} photos of this name.")
    return named[0] if named else NotFound("The project has no photo of this name.")
