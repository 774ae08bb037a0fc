"""HTTP of identity: sign in and out, oneself, people, API tokens."""

from uuid import UUID

from fastapi import Request, Response

from app.core.clock import now
from app.core.errors import (
    Conflict,
    NotFound,
    NotSignedIn,
    PreconditionRequired,
    Stale,
    TooManyAttempts,
)
from app.core.http.deps import (
    Cursor,
    IfMatch,
    Limit,
    SessionDep,
    SettingsDep,
    check_if_match,
    etag,
)
from app.core.http.problems import responses
from app.core.http.transactions import make_router
from app.core.pagination import Page
from app.identity import service
from app.identity.deps import (
    SESSION_COOKIE,
    CanAdminister,
    CanRead,
    Idempotent,
    InPerson,
    PrincipalDep,
    refuse_foreign_sites,
)
from app.identity.models import ApiToken, Role, User
from app.identity.permissions import Permission, Principal
from app.identity.schemas import (
    MeEdit,
    MeOut,
    NewTokenOut,
    SignIn,
    SignInLinkOut,
    TokenIn,
    TokenOut,
    UserEdit,
    UserIn,
    UserOut,
)

sessions_router = make_router("", "Sign-in")
users_router = make_router("/users", "Users")
tokens_router = make_router("/tokens", "Tokens")
EDIT_ERRORS = responses(NotFound, Conflict, Stale, PreconditionRequired)


@sessions_router.post(
    "/sessions",
    summary="Sign in with a password",
    status_code=201,
    response_model=MeOut,
    responses=responses(TooManyAttempts),
)
def sign_in(
    body: SignIn,
    request: Request,
    response: Response,
    session: SessionDep,
    settings: SettingsDep,
) -> MeOut:
    """Sets the session cookie. After five failures in a row an address has to wait."""
    refuse_foreign_sites(request)
    try:
        cookie = service.sign_in(session, email=body.email, password=body.password)
    except NotSignedIn:
        session.commit()  # keeps the count of failures, which the error would roll back
        raise
    response.set_cookie(
        SESSION_COOKIE,
        cookie,
        max_age=settings.session_days * 24 * 3600,
        httponly=True,
        samesite="lax",
        secure=settings.cookie_secure,
    )
    return _me(service.authenticate_session(session, cookie))


@sessions_router.delete(
    "/sessions/current", summary="Sign out", status_code=204, responses=responses()
)
def sign_out(
    request: Request, response: Response, session: SessionDep, principal: PrincipalDep
) -> None:
    """Ends the session of the cookie that is sent; an API token has none to end."""
    if principal.session_hash is not None:
        service.sign_out(session, request.cookies[SESSION_COOKIE])
    response.delete_cookie(SESSION_COOKIE)


@sessions_router.get("/me", summary="Who I am", response_model=MeOut, responses=responses())
def get_me(response: Response, session: SessionDep, principal: PrincipalDep) -> MeOut:
    user = service.get_user(session, principal.user_id)
    response.headers["etag"] = etag(user.version)
    return _me(principal)


@sessions_router.patch(
    "/me", summary="Change my name, language or password", response_model=MeOut,
    responses=EDIT_ERRORS,
)  # fmt: skip
def edit_me(
    body: MeEdit,
    response: Response,
    session: SessionDep,
    principal: InPerson,
    if_match: IfMatch = None,
) -> MeOut:
    """Not with an API token. A new password needs the current one, unless you came by a one-time
    link."""
    user = service.get_user(session, principal.user_id)
    check_if_match(if_match, user.version)
    service.edit_own_account(session, principal, **body.model_dump(exclude_none=True))
    response.headers["etag"] = etag(user.version)
    return MeOut(
        id=user.id,
        email=user.email,
        display_name=user.display_name,
        role=principal.role,
        locale=user.locale,
        permissions=sorted(principal.permissions),
    )


@users_router.get(
    "", summary="People, the longest here first", response_model=Page[UserOut],
    responses=responses(),
)  # fmt: skip
def list_users(
    session: SessionDep, principal: CanAdminister, cursor: Cursor = None, limit: Limit = 50
) -> Page[UserOut]:
    found = service.page_of_users(session, cursor=cursor, limit=limit)
    return Page(items=[_user(user) for user in found.rows], next_cursor=found.next_cursor)


@users_router.post(
    "",
    summary="Add a person",
    status_code=201,
    response_model=UserOut,
    responses=responses(Conflict),
    dependencies=[Idempotent],
)
def add_user(
    body: UserIn, response: Response, session: SessionDep, principal: CanAdminister
) -> UserOut:
    user = service.create_user(session, **body.model_dump(), actor_id=principal.user_id)
    response.headers["etag"] = etag(user.version)
    return _user(user)


@users_router.get(
    "/{user_id}", summary="One person", response_model=UserOut, responses=responses(NotFound)
)
def get_user(
    user_id: UUID, response: Response, session: SessionDep, principal: CanAdminister
) -> UserOut:
    user = service.get_user(session, user_id)
    response.headers["etag"] = etag(user.version)
    return _user(user)


@users_router.patch(
    "/{user_id}", summary="Change a person's role, or lock them out", response_model=UserOut,
    responses=EDIT_ERRORS,
)  # fmt: skip
def edit_user(
    user_id: UUID,
    body: UserEdit,
    response: Response,
    session: SessionDep,
    principal: CanAdminister,
    if_match: IfMatch = None,
) -> UserOut:
    """Disabling ends their sessions. The last administrator cannot be disabled or demoted."""
    user = service.get_user(session, user_id)
    check_if_match(if_match, user.version)
    changes = body.model_dump(exclude_none=True)
    service.edit_user(session, user, actor_id=principal.user_id, **changes)
    response.headers["etag"] = etag(user.version)
    return _user(user)


@users_router.post(
    "/{user_id}/sign-in-links",
    summary="Make a link that signs a person in once",
    status_code=201,
    response_model=SignInLinkOut,
    responses=responses(NotFound, Conflict),
)
def create_sign_in_link(
    user_id: UUID,
    request: Request,
    session: SessionDep,
    settings: SettingsDep,
    principal: CanAdminister,
) -> SignInLinkOut:
    """For first visits and forgotten passwords. It is shown once and lasts an hour."""
    token = service.create_sign_in_link(session, user_id=user_id, actor_id=principal.user_id)
    base = settings.public_url or str(request.base_url)
    url = f"{base.rstrip('/')}/sign-in/{token}"
    return SignInLinkOut(url=url, expires_at=now() + service.LINK_LASTS)


@tokens_router.get(
    "", summary="My API tokens, the newest first", response_model=Page[TokenOut],
    responses=responses(),
)  # fmt: skip
def list_tokens(
    session: SessionDep, principal: CanRead, cursor: Cursor = None, limit: Limit = 50
) -> Page[TokenOut]:
    found = service.page_of_tokens(session, principal.user_id, cursor=cursor, limit=limit)
    return Page(items=[_token(token) for token in found.rows], next_cursor=found.next_cursor)


@tokens_router.post(
    "",
    summary="Make an API token for myself",
    status_code=201,
    response_model=NewTokenOut,
    responses=responses(Conflict),
)
def create_token(body: TokenIn, session: SessionDep, principal: InPerson) -> NewTokenOut:
    """Not with another token; its scopes can be no wider than your role. No `Idempotency-Key`
    here: its stored answer would keep the secret, which the database must not know."""
    token, secret = service.create_own_token(
        session, principal, name=body.name, scopes=body.scopes, expires_at=body.expires_at
    )
    return NewTokenOut(**_token(token).model_dump(), token=secret)


@tokens_router.delete(
    "/{token_id}", summary="Revoke one of my API tokens", status_code=204,
    responses=responses(NotFound),
)  # fmt: skip
def revoke_token(token_id: UUID, session: SessionDep, principal: InPerson) -> None:
    """Not with a token: one that leaked could revoke the others."""
    service.revoke_token(session, principal, token_id)


def _me(principal: Principal) -> MeOut:
    return MeOut(
        id=principal.user_id,
        email=principal.email,
        display_name=principal.display_name,
        role=principal.role,
        locale=principal.locale,
        permissions=sorted(principal.permissions),
    )


def _user(user: User) -> UserOut:
    return UserOut(
        id=user.id,
        email=user.email,
        display_name=user.display_name,
        role=Role(user.role),
        locale=user.locale,
        created_at=user.created_at,
        disabled_at=user.disabled_at,
        has_password=user.password_hash is not None,
        version=user.version,
    )


def _token(token: ApiToken) -> TokenOut:
    return TokenOut(
        id=token.id,
        name=token.name,
        scopes=[Permission(scope) for scope in token.scopes],
        created_at=token.created_at,
        expires_at=token.expires_at,
        revoked_at=token.revoked_at,
        last_used_at=token.last_used_at,
    )
