"""The rules of identity: who may enter, with what, for how long, and what they may do then.

Secrets leave this module once, when they are made; the database keeps their digests.
"""

import re
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.core import audit
from app.core.clock import now
from app.core.config import get_settings
from app.core.errors import (
    Conflict,
    Invalid,
    NotFound,
    NotPermitted,
    NotSignedIn,
    TooManyAttempts,
)
from app.core.pagination import Slice
from app.core.security import digest_token, hash_password, new_token, password_matches
from app.identity import repository
from app.identity.models import ApiToken, BrowserSession, Role, SignInLink, User
from app.identity.permissions import ROLE_PERMISSIONS, Permission, Principal

ADDRESS = re.compile(r"[^\s@]+@[^\s@]+")
FIRST_ADMIN = "admin@localhost"
SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 1024  # argon2 takes any length, and time in proportion
LINK_LASTS = timedelta(hours=1)
USE_IS_NOTED_EVERY = timedelta(minutes=1)
FREE_FAILURES = 5
LONGEST_PAUSE_S = 300


def create_user(
    session: Session,
    *,
    email: str,
    role: Role,
    password: str | None = None,
    display_name: str | None = None,
    locale: str = "ja",
    actor_id: UUID | None = None,
) -> User:
    """Without a password, a person enters by one-time links or tokens only."""
    email = email.strip()
    if not ADDRESS.fullmatch(email):
        raise Invalid(f"{email!r} is not an e-mail address.")
    user = User(
        email=email,
        display_name=display_name or email.partition("@")[0],
        role=role,
        locale=locale,
        password_hash=None if password is None else _hash_new_password(password),
    )
    if not repository.add_user(session, user):
        raise Conflict(f"Somebody has the address {email} already.")
    _record(session, "user.created", user, actor_id, after={"email": email, "role": role})
    return user


def list_users(session: Session) -> list[User]:
    return repository.all_users(session)


def users_by_id(session: Session, user_ids: Collection[UUID]) -> dict[UUID, User]:
    return {user.id: user for user in repository.users_among(session, user_ids)}


def names_of(session: Session, user_ids: Collection[UUID]) -> dict[UUID, str]:
    """What these people are called; who was removed is missing."""
    found = users_by_id(session, user_ids)
    return {user_id: user.display_name or user.email for user_id, user in found.items()}


def page_of_users(session: Session, *, cursor: str | None, limit: int) -> Slice[User]:
    return repository.page_of_users(session, cursor=cursor, limit=limit)


def get_user(session: Session, user_id: UUID) -> User:
    user = repository.get_user(session, user_id)
    if user is None:
        raise NotFound(f"There is no user {user_id}.")
    return user


def edit_user(session: Session, user: User, *, actor_id: UUID | None, **changes: Any) -> None:
    """What an administrator may change: `role`, `disabled`, `display_name`, `locale`.

    Raises `Conflict` rather than leave Kizu without an administrator who can sign in.
    """
    before = _rights(user)
    if "disabled" in changes:
        disabled = changes.pop("disabled")
        changes["disabled_at"] = (user.disabled_at or now()) if disabled else None
    stays_admin = changes.get("role", user.role) == Role.ADMIN and not changes.get("disabled_at")
    if not stays_admin and repository.lock_active_admins(session) == {user.id}:
        raise Conflict(f"{user.email} is the last administrator who can sign in.")
    for name, value in changes.items():
        setattr(user, name, value)
    user.version += 1
    session.flush()
    if user.disabled_at is not None:
        repository.end_sessions_of(session, user.id)
        repository.drop_links_of(session, user.id)
    _record(session, "user.edited", user, actor_id, before=before, after=_rights(user))


def edit_own_account(
    session: Session,
    principal: Principal,
    *,
    password: str | None = None,
    current_password: str | None = None,
    **changes: Any,
) -> None:
    """What people may change about themselves: `display_name`, `locale` and their password."""
    user = get_user(session, principal.user_id)
    for name, value in changes.items():
        setattr(user, name, value)
    if password is not None:
        _ensure_password_may_change(session, user, principal, current_password)
        user.password_hash = _hash_new_password(password)
        repository.end_sessions_of(session, user.id, but=principal.session_hash)
        _record(session, "user.password_changed", user, principal.user_id)
    user.version += 1
    session.flush()


def _ensure_password_may_change(
    session: Session, user: User, principal: Principal, current_password: str | None
) -> None:
    """An open browser is not enough; who came by a link forgot the old one."""
    if _came_by_link(session, principal.session_hash):
        return
    known = user.password_hash
    if known is not None and not password_matches(current_password or "", known):
        raise NotPermitted("The current password is not right.")


def _came_by_link(session: Session, session_hash: str | None) -> bool:
    found = repository.find_session(session, session_hash) if session_hash else None
    return found is not None and found[0].came_by_link and found[0].created_at > now() - LINK_LASTS


def sign_in(session: Session, *, email: str, password: str) -> str:
    """Open a session; returns its cookie. Raises `NotSignedIn` or `TooManyAttempts`.

    A failure is counted in this transaction: an edge that answers it must commit all the same.
    """
    address = digest_token(email.strip().lower())
    _ensure_not_too_often(session, address)
    user = repository.find_user(session, email.strip())
    known = user.password_hash if user else None
    # A stranger's attempt costs the same time, so that nobody can find out who has an account.
    matches = password_matches(password[:LONGEST_PASSWORD], known or _hash_of_nobody())
    if user is None or known is None or not matches or user.disabled_at is not None:
        if repository.count_failure(session, address) == FREE_FAILURES and user is not None:
            _record(session, "user.sign_in_slowed", user, None)
        raise NotSignedIn("E-mail and password do not match.")
    repository.forget_failures(session, address)
    return _open_session(session, user)


def _ensure_not_too_often(session: Session, address: str) -> None:
    failures = repository.lock_failures(session, address)
    if failures is None or failures.count < FREE_FAILURES:
        return
    pause = min(2 ** min(failures.count - FREE_FAILURES, 20), LONGEST_PAUSE_S)
    left = (failures.last_at + timedelta(seconds=pause) - now()).total_seconds()
    if left > 0:
        seconds = int(left) + 1
        raise TooManyAttempts(
            f"Too many attempts failed. Try again in {seconds} s.", retry_after=seconds
        )


@cache
def _hash_of_nobody() -> str:
    return hash_password("nobody has this password")


def sign_in_with_link(session: Session, token: str) -> str:
    """Open a session with a one-time link; returns its cookie."""
    user_id = repository.use_link(session, digest_token(token))
    user = repository.get_user(session, user_id) if user_id else None
    if user is None or user.disabled_at is not None:
        raise NotSignedIn("This link was used before, or is too old.")
    repository.forget_failures(session, digest_token(user.email.lower()))
    return _open_session(session, user, came_by_link=True)


def _open_session(session: Session, user: User, *, came_by_link: bool = False) -> str:
    repository.purge_expired(session)
    cookie = new_token("kizu_session")
    opened = BrowserSession(
        token_hash=digest_token(cookie),
        user_id=user.id,
        expires_at=now() + timedelta(days=get_settings().session_days),
        came_by_link=came_by_link,
    )
    repository.add_session(session, opened)
    _record(session, "user.signed_in", user, user.id, after={"by_link": came_by_link})
    return cookie


def sign_out(session: Session, cookie: str) -> None:
    """End this session. A cookie that opens nothing is no error."""
    user_id = repository.end_session(session, digest_token(cookie))
    if user_id is not None:
        audit.record(session, "user.signed_out", "user", user_id, actor_id=user_id)


def authenticate_session(session: Session, cookie: str) -> Principal:
    token_hash = digest_token(cookie)
    found = repository.find_session(session, token_hash)
    if found is None or found[1].disabled_at is not None:
        raise NotSignedIn("This session has ended. Sign in again.")
    return _principal(found[1], Permission, session_hash=token_hash)


def authenticate_token(session: Session, token: str) -> Principal:
    found = repository.find_token(session, digest_token(token))
    if found is None or found[1].disabled_at is not None:
        raise NotSignedIn("This API token is unknown, expired or revoked.")
    known, user = found
    since = now() - USE_IS_NOTED_EVERY
    if known.last_used_at is None or known.last_used_at < since:
        repository.touch_token(session, known.id, unless_since=since)
    return _principal(user, known.scopes)


def _principal(user: User, scopes: Iterable[str], *, session_hash: str | None = None) -> Principal:
    role = Role(user.role)
    return Principal(
        user_id=user.id,
        email=user.email,
        display_name=user.display_name,
        role=role,
        locale=user.locale,
        permissions=ROLE_PERMISSIONS[role].intersection(Permission(scope) for scope in scopes),
        session_hash=session_hash,
    )


def create_token(
    session: Session,
    *,
    user_id: UUID | None = None,
    email: str | None = None,
    name: str,
    scopes: Iterable[Permission] | None = None,
    expires_at: datetime | None = None,
    actor_id: UUID | None = None,
) -> tuple[ApiToken, str]:
    """A token of the person with this id or address, and its secret. Without scopes it may do
    what the person's role allows today; it never may more than their role on the day of use."""
    user = _find_token_owner(session, user_id, email)
    if user.disabled_at is not None:
        raise Conflict(f"{user.email} is disabled.")
    if expires_at is not None and expires_at <= now():
        raise Invalid("The token would be expired from the start.")
    secret = new_token("kizu")
    wanted = ROLE_PERMISSIONS[Role(user.role)] if scopes is None else set(scopes)
    token = ApiToken(
        token_hash=digest_token(secret),
        user_id=user.id,
        name=name,
        scopes=sorted(wanted),
        expires_at=expires_at,
    )
    repository.add_token(session, token)
    after = {"id": str(token.id), "name": name, "scopes": token.scopes}
    _record(session, "token.created", user, actor_id, after=after)
    return token, secret


def _find_token_owner(session: Session, user_id: UUID | None, email: str | None) -> User:
    if user_id is not None:
        return get_user(session, user_id)
    user = repository.find_user(session, (email or "").strip())
    if user is None:
        raise NotFound(f"Nobody has the address {email}.")
    return user


def create_own_token(
    session: Session,
    principal: Principal,
    *,
    name: str,
    scopes: Iterable[Permission] | None,
    expires_at: datetime | None,
) -> tuple[ApiToken, str]:
    """A token that may at most what its maker may."""
    wanted = principal.permissions if scopes is None else frozenset(scopes)
    for permission in sorted(wanted - principal.permissions):
        raise NotPermitted(f"You do not have the permission '{permission}' yourself.")
    return create_token(
        session,
        user_id=principal.user_id,
        name=name,
        scopes=wanted,
        expires_at=expires_at,
        actor_id=principal.user_id,
    )


def page_of_tokens(
    session: Session, user_id: UUID, *, cursor: str | None, limit: int
) -> Slice[ApiToken]:
    """A person's tokens, the newest first; revoked ones stay listed."""
    return repository.page_of_tokens(session, user_id, cursor=cursor, limit=limit)


def revoke_token(session: Session, principal: Principal, token_id: UUID) -> None:
    """For ever. Revoking a revoked token changes nothing."""
    token = repository.get_token(session, principal.user_id, token_id)
    if token is None:
        raise NotFound(f"You have no token {token_id}.")
    if token.revoked_at is None:
        token.revoked_at = now()
        session.flush()
        audit.record(session, "token.revoked", "token", token.id, actor_id=principal.user_id)


def create_sign_in_link(
    session: Session, *, user_id: UUID | None = None, actor_id: UUID | None = None
) -> str:
    """The secret part of a link that signs somebody in once, within the hour.

    Without a user: the first administrator, who is made when there is none.
    """
    user = _first_admin(session) if user_id is None else get_user(session, user_id)
    if user.disabled_at is not None:
        raise Conflict(f"{user.email} is disabled.")
    token = new_token("kizu_link")
    link = SignInLink(
        token_hash=digest_token(token), user_id=user.id, expires_at=now() + LINK_LASTS
    )
    repository.add_link(session, link)
    _record(session, "user.sign_in_link_created", user, actor_id)
    return token


def _first_admin(session: Session) -> User:
    found = repository.first_admin(session)
    return found or create_user(
        session, email=FIRST_ADMIN, role=Role.ADMIN, display_name="Administrator"
    )


def _hash_new_password(password: str) -> str:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise Invalid(f"A password has at least {SHORTEST_PASSWORD} characters.")
    return hash_password(password)


def _rights(user: User) -> dict[str, Any]:
    return {"role": user.role, "disabled": user.disabled_at is not None}


def _record(
    session: Session,
    action: str,
    user: User,
    actor_id: UUID | None,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    audit.record(session, action, "user", user.id, actor_id=actor_id, before=before, after=after)
