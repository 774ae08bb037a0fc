"""What the identity routes read and write."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.identity.models import Role
from app.identity.permissions import Permission

Email = Annotated[str, Field(max_length=320, examples=["hana@example.com"])]
DisplayName = Annotated[str, Field(min_length=1, max_length=200, examples=["Hana Sato"])]
Locale = Annotated[Literal["ja", "en"], Field(description="Language of the pages.")]
NewPassword = Annotated[
    str, Field(min_length=10, max_length=1024, examples=["correct horse battery"])
]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SignIn(Strict):
    email: Email
    password: str = Field(max_length=1024, examples=["correct horse battery"])


class MeOut(BaseModel):
    """Whoever asks, and what they may do with what they asked with."""

    id: UUID
    email: Email
    display_name: DisplayName
    role: Role
    locale: str = Field(examples=["ja"])
    permissions: list[Permission]


class MeEdit(Strict):
    """Members that are not named stay as they are."""

    display_name: DisplayName | None = None
    locale: Locale | None = None
    password: NewPassword | None = Field(None, description="Ends all other sessions.")
    current_password: str | None = Field(
        None, max_length=1024, description="With `password`, unless signed in by a one-time link."
    )


class UserIn(Strict):
    email: Email
    role: Role
    display_name: DisplayName | None = None
    locale: Locale = "ja"
    password: NewPassword | None = Field(
        None, description="Without one the person enters by a one-time link."
    )


class UserEdit(Strict):
    """Members that are not named stay as they are."""

    role: Role | None = None
    disabled: bool | None = Field(None, description="A disabled user can enter with nothing.")
    display_name: DisplayName | None = None
    locale: Locale | None = None


class UserOut(BaseModel):
    id: UUID
    email: Email
    display_name: DisplayName
    role: Role
    locale: str = Field(examples=["ja"])
    created_at: datetime
    disabled_at: datetime | None
    has_password: bool
    version: int


class SignInLinkOut(BaseModel):
    """A link that signs this user in once."""

    url: str = Field(examples=["http://127.0.0.1:8600/sign-in/kizu_link_…"])
    expires_at: datetime


class TokenIn(Strict):
    name: str = Field(min_length=1, max_length=200, examples=["line 3 uploader"])
    scopes: list[Permission] | None = Field(
        None, min_length=1, description="What it may do; all that you may when omitted."
    )
    expires_at: datetime | None = Field(None, description="For ever when omitted.")


class TokenOut(BaseModel):
    """An API token, without its secret."""

    id: UUID
    name: str
    scopes: list[Permission]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute.")


class NewTokenOut(TokenOut):
    token: str = Field(description="Send it as `Authorization: Bearer …`. Shown only now.")
