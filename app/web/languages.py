"""Which language a page speaks, and its words. Messages are written in English in the templates;
`i18n/ja.po` is read as it is at the start, so that a fresh clone needs no compile step.
"""

import io
from enum import StrEnum
from functools import lru_cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path

from babel import negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from fastapi import Request

CATALOGUES = Path(__file__).parent / "i18n"
LANGUAGE_COOKIE = "kizu_language"


class Language(StrEnum):
    JAPANESE = "ja"
    ENGLISH = "en"


@lru_cache
def translations(language: Language) -> NullTranslations:
    """The words of a language; English is what the messages are written in."""
    path = CATALOGUES / f"{language}.po"
    if not path.exists():
        return NullTranslations()
    compiled = io.BytesIO()
    with path.open("rb") as source:
        write_mo(compiled, read_po(source, locale=language.value))
    compiled.seek(0)
    return GNUTranslations(compiled)


def choose_language(request: Request, user_locale: str | None = None) -> Language:
    """What this browser was set to, else the user's own language, else what the browser asks."""
    for wish in (request.cookies.get(LANGUAGE_COOKIE), user_locale):
        if wish in set(Language):
            return Language(wish)
    return _accepted(request.headers.get("accept-language", ""))


def _accepted(header: str) -> Language:
    """RFC 9110, 12.5.4: the acceptable language with the highest weight."""
    weighted = []
    for part in header.split(","):
        tag, _, parameters = part.strip().partition(";")
        weight = parameters.strip().removeprefix("q=") or "1"
        weighted.append((-float(weight) if _is_number(weight) else 0.0, tag))
    wishes = [tag for _, tag in sorted(weighted, key=lambda pair: pair[0]) if tag]
    found = negotiate_locale(wishes, [language.value for language in Language], sep="-")
    return Language(found) if found else Language.ENGLISH


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()
