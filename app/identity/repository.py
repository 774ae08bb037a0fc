"""The SQL of identity: people, their sessions, tokens and one-time links."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.core.clock import now
from app.core.pagination import Key, Slice, fetch_slice
from app.identity.models import ApiToken, BrowserSession, Role, SignInFailure, SignInLink, User

USERS_BY_AGE = Key((User.created_at, User.id), ("created_at", "id"))
TOKENS_NEWEST_FIRST = Key((ApiToken.created_at, ApiToken.id), ("created_at", "id"), descending=True)
FAILURES_KEPT_FOR = timedelta(days=1)


def get_user(session: Session, user_id: UUID) -> User | None:
    return session.get(User, user_id)


def find_user(session: Session, email: str) -> User | None:
    return session.scalar(select(User).where(func.lower(User.email) == func.lower(email)))


def add_user(session: Session, user: User) -> bool:
    """False when somebody has this address already."""
    if find_user(session, user.email) is not None:
        return False
    try:
        with session.begin_nested():
            session.add(user)
    except IntegrityError:
        return False
    return True


def all_users(session: Session) -> list[User]:
    return list(session.scalars(select(User).order_by(User.created_at, User.id)))


def names_of(session: Session, user_ids: Collection[UUID]) -> dict[UUID, str]:
    named = select(User.id, User.display_name, User.email).where(User.id.in_(user_ids))
    return {row[0]: row[1] or row[2] for row in session.execute(named)}


def page_of_users(session: Session, *, cursor: str | None, limit: int) -> Slice[User]:
    return fetch_slice(session, select(User), USERS_BY_AGE, cursor=cursor, limit=limit)


def first_admin(session: Session) -> User | None:
    """The administrator who was there first and may still sign in."""
    active = select(User).where(User.role == Role.ADMIN, User.disabled_at.is_(None))
    return session.scalar(active.order_by(User.created_at, User.id).limit(1))


def lock_active_admins(session: Session) -> set[UUID]:
    """Locked, so that two administrators cannot remove each other at the same time."""
    active = select(User.id).where(User.role == Role.ADMIN, User.disabled_at.is_(None))
    return set(session.scalars(active.order_by(User.id).with_for_update()))


def add_session(session: Session, opened: BrowserSession) -> None:
    session.add(opened)
    session.flush()


def find_session(session: Session, token_hash: str) -> tuple[BrowserSession, User] | None:
    """A session that has not expired, and whose it is."""
    row = session.execute(
        select(BrowserSession, User)
        .join(User, User.id == BrowserSession.user_id)
        .where(BrowserSession.token_hash == token_hash, BrowserSession.expires_at > now())
    ).one_or_none()
    return (row[0], row[1]) if row else None


def end_session(session: Session, token_hash: str) -> UUID | None:
    """Whose session it was; None when there was none."""
    gone = delete(BrowserSession).where(BrowserSession.token_hash == token_hash)
    return session.scalar(gone.returning(BrowserSession.user_id))


def end_sessions_of(session: Session, user_id: UUID, *, but: str | None = None) -> None:
    gone = delete(BrowserSession).where(BrowserSession.user_id == user_id)
    if but is not None:
        gone = gone.where(BrowserSession.token_hash != but)
    session.execute(gone)


def add_token(session: Session, token: ApiToken) -> None:
    session.add(token)
    session.flush()


def find_token(session: Session, token_hash: str) -> tuple[ApiToken, User] | None:
    """A token that is neither revoked nor expired, and whose it is."""
    still_valid = ApiToken.expires_at.is_(None) | (ApiToken.expires_at > now())
    row = session.execute(
        select(ApiToken, User)
        .join(User, User.id == ApiToken.user_id)
        .where(ApiToken.token_hash == token_hash, ApiToken.revoked_at.is_(None), still_valid)
    ).one_or_none()
    return (row[0], row[1]) if row else None


def touch_token(session: Session, token_id: UUID, *, unless_since: datetime) -> None:
    """Note the use of a token. A request beside this one that notes it already is not waited for:
    it may last as long as an upload."""
    stale = ApiToken.last_used_at.is_(None) | (ApiToken.last_used_at < unless_since)
    free = (
        select(ApiToken.id)
        .where(ApiToken.id == token_id, stale)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    session.execute(
        update(ApiToken)
        .where(ApiToken.id == free)
        .values(last_used_at=now())
        .execution_options(synchronize_session=False)
    )


def page_of_tokens(
    session: Session, user_id: UUID, *, cursor: str | None, limit: int
) -> Slice[ApiToken]:
    own = select(ApiToken).where(ApiToken.user_id == user_id)
    return fetch_slice(session, own, TOKENS_NEWEST_FIRST, cursor=cursor, limit=limit)


def get_token(session: Session, user_id: UUID, token_id: UUID) -> ApiToken | None:
    token = session.get(ApiToken, token_id)
    return token if token and token.user_id == user_id else None


def add_link(session: Session, link: SignInLink) -> None:
    session.add(link)
    session.flush()


def use_link(session: Session, token_hash: str) -> UUID | None:
    """Whose link it is, once: of two requests with the same link, one gets None."""
    used = (
        update(SignInLink)
        .where(
            SignInLink.token_hash == token_hash,
            SignInLink.used_at.is_(None),
            SignInLink.expires_at > now(),
        )
        .values(used_at=now())
        .returning(SignInLink.user_id)
    )
    return session.scalar(used)


def drop_links_of(session: Session, user_id: UUID) -> None:
    session.execute(delete(SignInLink).where(SignInLink.user_id == user_id))


def lock_failures(session: Session, address_hash: str) -> SignInFailure | None:
    """The failures of an address; attempts on the same one pass here one after the other."""
    lock = func.hashtextextended(f"sign-in\x1f{address_hash}", 0)
    session.execute(select(func.pg_advisory_xact_lock(lock)))
    return session.get(SignInFailure, address_hash, populate_existing=True)


def count_failure(session: Session, address_hash: str) -> int:
    """Failures in a row, this one included."""
    new = insert(SignInFailure).values(address_hash=address_hash, count=1, last_at=now())
    counted = new.on_conflict_do_update(
        index_elements=["address_hash"],
        set_={"count": SignInFailure.count + 1, "last_at": now()},
    )
    return session.scalars(counted.returning(SignInFailure.count)).one()


def forget_failures(session: Session, address_hash: str) -> None:
    session.execute(delete(SignInFailure).where(SignInFailure.address_hash == address_hash))


def purge_expired(session: Session) -> None:
    """Remove sessions, links and failures that time has made meaningless."""
    session.execute(delete(BrowserSession).where(BrowserSession.expires_at <= now()))
    session.execute(delete(SignInLink).where(SignInLink.expires_at <= now()))
    session.execute(delete(SignInFailure).where(SignInFailure.last_at <= now() - FAILURES_KEPT_FOR))
