"""What a slug, a key, a hotkey, a colour, a time zone and a currency may be. Pure."""

import re
import unicodedata
from functools import lru_cache
from zoneinfo import available_timezones

from babel.numbers import list_currencies

from app.core.errors import Invalid

SLUG_PATTERN = r"^[a-z0-9]([a-z0-9\-]*[a-z0-9])?$"
KEY_PATTERN = r"^[a-z0-9_\-]+$"
COLOUR_PATTERN = r"^#[0-9a-fA-F]{6}$"
LONGEST_WORD = 60
PALETTE = ("#c2452d", "#d98a00", "#2f7d5b", "#1f6fa8", "#7a52a8", "#a8507a", "#5d6b2f", "#4a5a68")

# Pages live at /projects/new; a project of that name could not be opened.
RESERVED_SLUGS = frozenset({"new"})
# The desk's own commands; its digits choose labels by position.
TAKEN_HOTKEYS = frozenset("xush?+-0123456789")
# Names that some systems list although they say nothing about a place.
_NO_PLACES = frozenset({"localtime", "Factory", "posixrules"})


@lru_cache(maxsize=1)
def time_zones() -> frozenset[str]:
    return frozenset(available_timezones()) - _NO_PLACES


@lru_cache(maxsize=1)
def currencies() -> frozenset[str]:
    return frozenset(list_currencies())


def check_slug(slug: str) -> None:
    if not re.fullmatch(SLUG_PATTERN, slug) or len(slug) > LONGEST_WORD:
        raise Invalid(
            f"A slug has at most {LONGEST_WORD} small letters, digits and inner hyphens.",
            errors=[{"pointer": "#/slug", "detail": "not a slug"}],
        )
    if slug in RESERVED_SLUGS:
        raise Invalid(
            f"The slug '{slug}' is reserved.",
            errors=[{"pointer": "#/slug", "detail": "reserved"}],
        )


def check_key(key: str) -> None:
    if not re.fullmatch(KEY_PATTERN, key) or len(key) > LONGEST_WORD:
        raise Invalid(
            f"A label's key has at most {LONGEST_WORD} small letters, digits, _ and -.",
            errors=[{"pointer": "#/key", "detail": "not a key"}],
        )


def check_time_zone(name: str) -> None:
    if name not in time_zones():
        raise Invalid(
            f"'{name}' is no IANA time zone, such as Asia/Tokyo.",
            errors=[{"pointer": "#/time_zone", "detail": "unknown time zone"}],
        )


def check_currency(code: str) -> None:
    if code not in currencies():
        raise Invalid(
            f"'{code}' is no ISO 4217 currency, such as JPY.",
            errors=[{"pointer": "#/currency", "detail": "unknown currency"}],
        )


def plain_hotkey(hotkey: str | None) -> str | None:
    """One small, half-width character. Raises `Invalid` for one that the desk uses itself."""
    if hotkey is None or not hotkey.strip():
        return None
    plain = unicodedata.normalize("NFKC", hotkey.strip()).lower()
    if len(plain) != 1 or not plain.isprintable():
        raise Invalid(
            "A hotkey is one character.",
            errors=[{"pointer": "#/hotkey", "detail": "not one character"}],
        )
    if plain in TAKEN_HOTKEYS:
        raise Invalid(
            f"The desk uses the key '{plain}' itself.",
            errors=[{"pointer": "#/hotkey", "detail": "used by the desk"}],
        )
    return plain


def plain_names(names: dict[str, str]) -> dict[str, str]:
    """Names without those left empty. Raises `Invalid` when none is left, or for a language that
    Kizu does not speak."""
    plain = {code: name.strip() for code, name in names.items() if name and name.strip()}
    if not plain or not plain.keys() <= {"ja", "en"}:
        raise Invalid(
            "A label has a name in Japanese (ja), English (en) or both.",
            errors=[{"pointer": "#/names", "detail": "needs ja or en"}],
        )
    return plain


def plain_prompts(prompts: list[str]) -> list[str]:
    """Prompts without blanks and repetitions, in their order."""
    return list(dict.fromkeys(text for prompt in prompts if (text := " ".join(prompt.split()))))
