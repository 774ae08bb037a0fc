"""Whether Kizu lives: the one question that anybody may ask."""

from typing import Literal

from pydantic import BaseModel
from sqlalchemy import text

from app.core.errors import Unavailable
from app.core.http.deps import SessionDep
from app.core.http.problems import open_responses
from app.core.http.transactions import make_router

router = make_router("", "Health")


class HealthOut(BaseModel):
    status: Literal["ok"] = "ok"
    database: Literal[True] = True


@router.get(
    "/health",
    summary="Whether the service and its database answer",
    response_model=HealthOut,
    responses=open_responses(Unavailable),
)
def health(session: SessionDep) -> HealthOut:
    """Open to everybody. 503 when the database does not answer."""
    session.execute(text("SELECT 1"))
    return HealthOut()
