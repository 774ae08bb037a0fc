"""What each role may do. A token's scopes narrow its owner's role; they never widen it."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from app.core.errors import NotPermitted
from app.identity.models import Role


class Permission(StrEnum):
    READ = "read"
    REVIEW = "review"
    MANAGE = "manage"
    ADMINISTER = "administer"


ROLE_PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: frozenset({Permission.READ}),
    Role.REVIEWER: frozenset({Permission.READ, Permission.REVIEW}),
    Role.ENGINEER: frozenset({Permission.READ, Permission.REVIEW, Permission.MANAGE}),
    Role.ADMIN: frozenset(Permission),
}


@dataclass(frozen=True)
class Principal:
    """Whoever makes this request, and what they may do in it. `session_hash`: the browser session
    that it came with; None for an API token."""

    user_id: UUID
    email: str
    display_name: str
    role: Role
    locale: str
    permissions: frozenset[Permission]
    session_hash: str | None = None

    def ensure(self, permission: Permission) -> None:
        if permission not in self.permissions:
            raise NotPermitted(f"This needs the permission '{permission}'.")

    def ensure_in_person(self) -> None:
        """A token may not touch the account it belongs to: what it made could outlive it."""
        if self.session_hash is None:
            raise NotPermitted("An API token cannot do this. Sign in with a browser.")
