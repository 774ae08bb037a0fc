"""Requests that carry files: received into a folder of their own, which goes when they end."""

import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from app.core.config import Settings
from app.core.errors import OutOfSpace
from app.core.http.middleware import BodyTooLarge
from app.core.ids import new_id
from app.core.multipart import Form, FormLimits, FormReader

ABANDONED_AFTER_S = 24 * 3600.0


@asynccontextmanager
async def received_form(
    request: Request, settings: Settings, limits: FormLimits
) -> AsyncIterator[Form]:
    """The whole form on disk, or an error and nothing.

    Raises `TooLarge` naming the limits, `OutOfSpace`, `BadRequest`.
    """
    folder = await run_in_threadpool(_new_folder, settings)
    try:
        yield await _read(request, folder, limits)
    finally:
        await run_in_threadpool(shutil.rmtree, folder, True)


async def _read(request: Request, folder: Path, limits: FormLimits) -> Form:
    reader = FormReader(request.headers.get("content-type", ""), folder, limits)
    try:
        async for chunk in request.stream():
            await run_in_threadpool(reader.write, chunk)
        return reader.finish()
    except BodyTooLarge as error:
        raise limits.exceeded() from error
    finally:
        reader.close()


def _new_folder(settings: Settings) -> Path:
    incoming = settings.data_dir / "incoming"
    incoming.mkdir(parents=True, exist_ok=True)
    _sweep(incoming)
    if shutil.disk_usage(incoming).free < settings.min_free_bytes:
        raise OutOfSpace("The disk is nearly full; nothing was stored.")
    folder = incoming / str(new_id())
    folder.mkdir()
    return folder


def _sweep(incoming: Path) -> None:
    """Remove what a killed process left behind."""
    for folder in incoming.iterdir():
        with suppress(FileNotFoundError):  # of a request that has just ended
            if folder.stat().st_mtime < time.time() - ABANDONED_AFTER_S:
                shutil.rmtree(folder, ignore_errors=True)
