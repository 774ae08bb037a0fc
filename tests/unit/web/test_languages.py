"""Pages speak two languages, and every message of theirs is known in both."""

from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from starlette.requests import Request

from app.jobs.stages import JobStage
from app.web import languages
from app.web.languages import CATALOGUES, Language, choose_language, translations

WEB = Path(languages.__file__).parent
METHODS = [("**.py", "python"), ("templates/**.html", "jinja2.ext:babel_extract")]


def request(**headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw})


@pytest.mark.parametrize(
    ("headers", "user_locale", "expected"),
    [
        ({}, None, Language.ENGLISH),
        ({"accept_language": "ja,en;q=0.8"}, None, Language.JAPANESE),
        ({"accept_language": "de, en;q=0.5, ja;q=0.4"}, None, Language.ENGLISH),
        ({"accept_language": "fr"}, None, Language.ENGLISH),
        ({"accept_language": "en"}, "ja", Language.JAPANESE),
        ({"cookie": "kizu_language=en"}, "ja", Language.ENGLISH),
        ({"cookie": "kizu_language=xx"}, "ja", Language.JAPANESE),
    ],
)
def test_the_browser_then_the_user_then_its_wishes_decide(headers, user_locale, expected):
    assert choose_language(request(**headers), user_locale) is expected


def test_every_message_has_its_japanese_words():
    used = {message for _, _, message, _, _ in extract_from_dir(WEB, METHODS)}
    with (CATALOGUES / "ja.po").open("rb") as source:
        known = {tuple(m.id) if m.pluralizable else m.id: m.string for m in read_po(source)}
    assert {message for message in used if not known.get(message)} == set()
    assert {message for message in known if message} - used == set()


def test_every_stage_of_a_job_has_its_japanese_words():
    japanese = translations(Language.JAPANESE).gettext
    assert [stage for stage in JobStage if japanese(stage) == stage] == []


def test_the_catalogue_is_read_without_a_compile_step():
    assert translations(Language.JAPANESE).gettext("Review") == "確認"
    assert translations(Language.ENGLISH).gettext("Review") == "Review"
    assert (
        translations(Language.JAPANESE).ngettext("%(num)s photo", "%(num)s photos", 3)
        == "%(num)s 枚"
    )
