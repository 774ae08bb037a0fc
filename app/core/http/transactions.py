"""One request, one transaction: opened lazily, committed before the answer leaves.

`TransactionalRoute` also keeps the answer of a request that carried an `Idempotency-Key`, in the
same transaction as its effect.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from sqlalchemy.orm import Session, sessionmaker
from starlette.concurrency import run_in_threadpool

from app.core.clock import now
from app.core.idempotency import KEPT_FOR, IdempotencyKey

REPEATED_HEADERS = ("location", "etag", "content-type")


class AnswerAgain(Exception):
    """The request was answered before; carries the stored answer."""

    def __init__(self, stored: IdempotencyKey) -> None:
        super().__init__(stored.key)
        self.stored = stored


@dataclass(frozen=True)
class PendingAnswer:
    """What `TransactionalRoute` stores with the answer once the endpoint has made it."""

    user_id: UUID
    route: str
    key: str
    request_hash: str


class TransactionalRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_in_transaction(request: Request) -> Response:
            sessions: sessionmaker[Session] = request.app.state.sessions
            session = sessions()
            request.state.session = session
            try:
                response = await handle(request)
                await run_in_threadpool(_finish, session, request, response)
                return response
            except AnswerAgain as again:
                return _repeat(again.stored)
            finally:
                await run_in_threadpool(session.close)

        return handle_in_transaction


def _finish(session: Session, request: Request, response: Response) -> None:
    pending: PendingAnswer | None = getattr(request.state, "pending_answer", None)
    if pending is not None and response.status_code < 400:
        session.add(_stored(pending, response))
    session.commit()


def _stored(pending: PendingAnswer, response: Response) -> IdempotencyKey:
    return IdempotencyKey(
        user_id=pending.user_id,
        route=pending.route,
        key=pending.key,
        request_hash=pending.request_hash,
        status=response.status_code,
        headers={k: v for k, v in response.headers.items() if k in REPEATED_HEADERS},
        body=bytes(response.body),
        expires_at=now() + KEPT_FOR,
    )


def _repeat(stored: IdempotencyKey) -> Response:
    headers = stored.headers | {"idempotency-replayed": "true"}
    return Response(stored.body, status_code=stored.status, headers=headers)


def make_router(prefix: str, tag: str) -> APIRouter:
    """A router of one noun: its prefix, its tag in the documentation, one transaction a request."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=TransactionalRoute)
