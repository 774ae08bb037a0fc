"""Embeddings for searching, on queue `infer`. What they do is in `worker.engine.embedding`.

Every worker imports every task; only the process that looks loads PyTorch.
"""

from uuid import UUID

from app.images.embeddings import PHOTOS_TASK, TEXTS_TASK
from worker.celery_app import application
from worker.process import this_process


@application.task(name=PHOTOS_TASK)
def photos(project_id: str) -> None:
    from worker.engine.embedding import embed_photos

    embed_photos(this_process(), UUID(project_id))


@application.task(name=TEXTS_TASK)
def texts(backbone: str) -> None:
    from worker.engine.embedding import embed_texts

    embed_texts(this_process(), backbone)
