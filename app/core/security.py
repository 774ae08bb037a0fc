"""Secrets: password hashes (argon2id), random tokens and their digests, keyed random draws."""

import hashlib
import hmac
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

_hasher = PasswordHasher()


def hash_password(password: str) -> str:
    return _hasher.hash(password)


def password_matches(password: str, digest: str) -> bool:
    try:
        return _hasher.verify(digest, password)
    except (VerifyMismatchError, InvalidHashError):
        return False


def new_token(prefix: str) -> str:
    """An unguessable token (256 bits) whose prefix tells people what it opens."""
    return f"{prefix}_{secrets.token_urlsafe(32)}"


def digest_token(token: str) -> str:
    """What the database keeps. SHA-256 is enough: the token is random, not a human's choice."""
    return hashlib.sha256(token.encode()).hexdigest()


def uniform_draw(secret: bytes, *parts: str) -> float:
    """A number in [0, 1) that is random to those without `secret`, and the same each time."""
    digest = hmac.new(secret, "\x1f".join(parts).encode(), hashlib.sha256).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
