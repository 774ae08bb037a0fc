"""HTTP of images: upload, their bytes, edits of where and when they were taken."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.exc import DataError
from sqlalchemy.orm import Session, sessionmaker
from starlette.concurrency import run_in_threadpool

from app.core.config import Settings
from app.core.db import transaction
from app.core.errors import (
    BadRequest,
    Conflict,
    Invalid,
    KizuError,
    NotFound,
    OutOfSpace,
    PreconditionRequired,
    Stale,
    TooLarge,
    Unavailable,
)
from app.core.http.deps import (
    IfMatch,
    IfNoneMatch,
    SessionDep,
    SettingsDep,
    StoreDep,
    check_if_match,
    etag,
)
from app.core.http.problems import responses
from app.core.http.transactions import make_router
from app.core.http.uploads import received_form
from app.core.multipart import Form, FormLimits, ReceivedFile
from app.core.storage import Blobs
from app.identity.deps import CanManage, CanRead
from app.images import service
from app.images.blobs import MEDIA_TYPES, Rendition, blob_key
from app.images.models import Image
from app.images.schemas import (
    CaptureEdit,
    ContentsIn,
    ImageOut,
    KnownContentOut,
    KnownContentsOut,
    Refusal,
    UploadItem,
    UploadOut,
    UploadStatus,
    parse_metadata,
)
from app.images.service import Capture
from app.projects.deps import ProjectDep
from app.projects.models import Project

router = make_router("/projects/{slug}/images", "Images")

FILES_FIELD, METADATA_FIELD = "files", "metadata"
IMMUTABLE = "private, immutable, max-age=31536000"
UPLOAD_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FILES_FIELD],
                    "properties": {
                        FILES_FIELD: {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "description": "JPEG, PNG, TIFF, BMP or WebP; one or many.",
                        },
                        METADATA_FIELD: {
                            "type": "string",
                            "description": "JSON: one object for all files, or a list with one "
                            "object per file. Members: line, station, camera, lot, part, "
                            "captured_at, split; others are kept as details.",
                            "example": '{"lot": "2026-11-A", "camera": "top"}',
                        },
                    },
                }
            }
        },
    }
}


@router.post(
    "",
    summary="Upload one or many photos",
    status_code=201,
    response_model=UploadOut,
    responses={
        200: {"model": UploadOut, "description": "All of these photos were there already"},
        207: {"model": UploadOut, "description": "Some files were rejected; each says why"},
        **responses(NotFound, Conflict, BadRequest, TooLarge, OutOfSpace),
    },
    openapi_extra=UPLOAD_FORM,
)
async def upload(
    *,
    project: ProjectDep,
    request: Request,
    response: Response,
    session: SessionDep,
    settings: SettingsDep,
    store: StoreDep,
    principal: CanManage,
) -> UploadOut:
    """Each file commits by itself, so what was stored stays stored when a later file fails."""
    await run_in_threadpool(session.commit)  # no connection is held while bytes trickle in
    limits = FormLimits(settings.upload_max_files, settings.upload_max_bytes)
    async with received_form(request, settings, limits) as form:
        uploads = _files_with_captures(form)
        reception = Reception(request.app.state.sessions, store, settings, project)
        items = await run_in_threadpool(reception.store_all, uploads)
    answer = UploadOut(
        created=_count(items, UploadStatus.CREATED),
        already_there=_count(items, UploadStatus.ALREADY_THERE),
        rejected=_count(items, UploadStatus.REJECTED),
        items=items,
    )
    response.status_code = 207 if answer.rejected else 201 if answer.created else 200
    return answer


class Reception:
    """Stores received files, each in a transaction of its own."""

    def __init__(
        self, sessions: sessionmaker[Session], store: Blobs, settings: Settings, project: Project
    ) -> None:
        self._sessions = sessions
        self._store = store
        self._settings = settings
        self._project = project

    def store_all(self, uploads: Iterable[tuple[ReceivedFile, Capture]]) -> list[UploadItem]:
        """Raises `OutOfSpace` or `Unavailable` naming, in `items`, what was stored before."""
        items: list[UploadItem] = []
        for file, capture in uploads:
            try:
                items.append(self._store_one(file, capture))
            except (OutOfSpace, Unavailable) as error:
                error.extra["items"] = [item.model_dump(mode="json") for item in items]
                raise
            except KizuError as error:
                items.append(_rejected(file, error))
            except DataError:  # such as a NUL character in the metadata
                items.append(_rejected(file, Invalid("Its metadata cannot be stored.")))
        return items

    def _store_one(self, file: ReceivedFile, capture: Capture) -> UploadItem:
        with transaction(self._sessions) as session:
            receipt = service.receive_upload(
                session,
                self._store,
                project=self._project,
                file=file,
                capture=capture,
                max_pixels=self._settings.image_max_pixels,
            )
            return UploadItem(
                file_name=file.file_name,
                status=UploadStatus(receipt.status),
                image=ImageOut.model_validate(receipt.image),
            )


def _files_with_captures(form: Form) -> list[tuple[ReceivedFile, Capture]]:
    files = form.files.get(FILES_FIELD, [])
    if not files:
        raise Invalid(f"Send at least one file in the form field `{FILES_FIELD}`.")
    captures = parse_metadata(form.fields.get(METADATA_FIELD), len(files))
    return list(zip(files, captures, strict=True))


def _rejected(file: ReceivedFile, error: KizuError) -> UploadItem:
    refusal = Refusal(
        type=f"/problems/{error.code}",
        title=error.title,
        status=error.status,
        detail=error.detail,
        reason=error.extra.get("reason"),
    )
    return UploadItem(file_name=file.file_name, status=UploadStatus.REJECTED, problem=refusal)


def _count(items: list[UploadItem], status: UploadStatus) -> int:
    return sum(item.status is status for item in items)


@router.post(
    "/known",
    summary="Which of these photos are there already",
    response_model=KnownContentsOut,
    responses=responses(NotFound, Conflict),
)
def known(
    project: ProjectDep, body: ContentsIn, session: SessionDep, principal: CanManage
) -> KnownContentsOut:
    """Ask before an upload, so that nothing is sent twice. Changes nothing."""
    found = service.known_contents(session, project.id, body.sha256)
    return KnownContentsOut(items=[KnownContentOut.model_validate(one) for one in found])


@router.get(
    "/{image_id}/original",
    summary="The photo as it came",
    response_class=StreamingResponse,
    responses={304: {"description": "The copy you hold is current"}, **responses(NotFound)},
)
def original(
    project: ProjectDep,
    image_id: UUID,
    session: SessionDep,
    store: StoreDep,
    principal: CanRead,
    if_none_match: IfNoneMatch = None,
) -> Response:
    image = service.get_image(session, project.id, image_id)
    return _bytes(store, image, Rendition.ORIGINAL, if_none_match)


@router.get(
    "/{image_id}/thumbnail",
    summary="The photo as a JPEG of at most 256 pixels a side",
    response_class=StreamingResponse,
    responses={304: {"description": "The copy you hold is current"}, **responses(NotFound)},
)
def thumbnail(
    project: ProjectDep,
    image_id: UUID,
    session: SessionDep,
    store: StoreDep,
    principal: CanRead,
    if_none_match: IfNoneMatch = None,
) -> Response:
    image = service.get_image(session, project.id, image_id)
    return _bytes(store, image, Rendition.THUMBNAIL, if_none_match)


@router.get(
    "/{image_id}/preview",
    summary="The photo as a JPEG of at most 1280 pixels a side",
    response_class=StreamingResponse,
    responses={304: {"description": "The copy you hold is current"}, **responses(NotFound)},
)
def preview(
    project: ProjectDep,
    image_id: UUID,
    session: SessionDep,
    store: StoreDep,
    principal: CanRead,
    if_none_match: IfNoneMatch = None,
) -> Response:
    image = service.get_image(session, project.id, image_id)
    return _bytes(store, image, Rendition.PREVIEW, if_none_match)


@router.get(
    "/{image_id}/deep",
    summary="The greys of a photo of more than 8 bits, of at most 1280 pixels a side",
    response_class=StreamingResponse,
    responses={304: {"description": "The copy you hold is current"}, **responses(NotFound)},
)
def deep(
    project: ProjectDep,
    image_id: UUID,
    session: SessionDep,
    store: StoreDep,
    principal: CanRead,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """A PNG whose red is the high byte of each 16-bit grey and whose green is the low byte. Photos
    of 8 bits or in colour have none."""
    image = service.get_image(session, project.id, image_id)
    return _bytes(store, image, Rendition.DEEP, if_none_match)


def _bytes(store: Blobs, image: Image, rendition: Rendition, if_none_match: str | None) -> Response:
    """Content-addressed, so a copy is good for ever; 404 until the worker has made it."""
    tag = f'"{image.sha256}-{rendition}"'
    headers = {"etag": tag, "cache-control": IMMUTABLE}
    if if_none_match is not None and tag in if_none_match:
        return Response(status_code=304, headers=headers)
    key = blob_key(image.sha256, rendition)
    size = store.size(key)
    if size is None:
        raise NotFound(f"This image has no {rendition}: it is {image.state}.")
    headers["content-length"] = str(size)
    media_type = MEDIA_TYPES.get(rendition, image.media_type)
    return StreamingResponse(store.stream(key), media_type=media_type, headers=headers)


@router.patch(
    "/{image_id}",
    summary="Correct where and when a photo was taken",
    response_model=ImageOut,
    responses=responses(NotFound, Conflict, Stale, PreconditionRequired),
)
def edit(
    *,
    project: ProjectDep,
    image_id: UUID,
    body: CaptureEdit,
    session: SessionDep,
    principal: CanManage,
    response: Response,
    if_match: IfMatch = None,
) -> Image:
    """Members left out stay as they are; a member that is null is emptied."""
    image = service.hold_image(session, project.id, image_id)
    check_if_match(if_match, image.version)
    changes = body.model_dump(exclude_unset=True)
    image = service.edit_metadata(
        session, image, changes, project=project, actor_id=principal.user_id
    )
    response.headers["etag"] = etag(image.version)
    return image
