"""Pages out of templates: one Jinja environment per language, with the filters that pages need.

Dates appear in the project's time zone, numbers and money as the language writes them.
"""

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.numbers import format_currency, format_decimal, format_percent, parse_pattern
from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context, select_autoescape
from jinja2.runtime import Context

from app.identity.permissions import Permission, Principal
from app.projects.models import Label, Project
from app.web import charts
from app.web.languages import Language, choose_language, translations

HERE = Path(__file__).parent
STATIC = HERE / "static"
UNKNOWN = "–"
# A page writes hundreds of numbers, in a few patterns, and the next page many of them again.
_pattern = lru_cache(parse_pattern)
KEPT_NUMBERS = 10_000
DAYS = {Language.JAPANESE: "y/MM/dd", Language.ENGLISH: "d MMM y"}
MOMENTS = {Language.JAPANESE: "y/MM/dd HH:mm", Language.ENGLISH: "d MMM y, HH:mm"}


@lru_cache
def environment(language: Language) -> Environment:
    pages = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=select_autoescape(["html"]),
        extensions=["jinja2.ext.i18n"],
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.install_gettext_translations(  # type: ignore[attr-defined]
        translations(language), newstyle=True
    )
    pages.filters.update(_filters(language))
    pages.globals["ngettext"] = _counting(pages)
    pages.globals.update(
        language=language,
        languages={Language.JAPANESE: "日本語", Language.ENGLISH: "English"},
        asset=asset,
        charts=charts,
        Permission=Permission,
    )
    return pages


def _counting(pages: Environment) -> Callable[..., str]:
    """`ngettext` that writes its number as the language does."""
    choose = cast("Callable[..., str]", pages.globals["ngettext"])
    number = pages.filters["number"]

    @pass_context
    def ngettext(context: Context, one: str, many: str, count: int, **given: Any) -> str:
        return choose(context, one, many, count, **({"num": number(count)} | given))

    return ngettext


def _filters(language: Language) -> dict[str, Any]:
    def name(label: Label) -> str:
        return label_name(label, language)

    locale = Locale.parse(language)
    return {
        **_date_filters(language),
        **_number_filters(locale),
        "label_name": name,
        "figure": charts.figure,
    }


def _date_filters(language: Language) -> dict[str, Any]:
    locale = Locale.parse(language)

    def moment(value: datetime | None, zone: str = "UTC") -> str:
        if value is None:
            return UNKNOWN
        return format_datetime(value, MOMENTS[language], tzinfo=ZoneInfo(zone), locale=locale)

    def day(value: datetime, zone: str = "UTC") -> str:
        return format_date(value.astimezone(ZoneInfo(zone)), DAYS[language], locale=locale)

    return {"moment": moment, "day": day}


def _number_filters(locale: Locale) -> dict[str, Any]:
    @lru_cache(KEPT_NUMBERS)
    def number(value: float | None, digits: int = 0) -> str:
        if value is None:
            return UNKNOWN
        pattern = _pattern("#,##0." + "0" * digits if digits else "#,##0")
        unsigned_zero = round(value, digits) + 0.0
        return format_decimal(unsigned_zero, pattern, locale=locale)

    @lru_cache(KEPT_NUMBERS)
    def percent(value: float | None, digits: int = 0) -> str:
        pattern = _pattern("0." + "0" * digits + "%" if digits else "0%")
        return UNKNOWN if value is None else format_percent(value, pattern, locale=locale)

    def money(value: float | Decimal | None, currency: str) -> str:
        return UNKNOWN if value is None else format_currency(value, currency, locale=locale)

    return {"number": number, "percent": percent, "money": money}


def label_name(label: Label, language: Language) -> str:
    return label.names.get(language) or next(iter(label.names.values()), label.key)


@lru_cache
def asset(name: str) -> str:
    """The address of a static file, which changes with its content, so it can be kept for ever."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()
    return f"/static/{name}?v={digest[:12]}"


def render(
    request: Request,
    template: str,
    *,
    principal: Principal | None = None,
    project: Project | None = None,
    status: int = 200,
    **context: Any,
) -> HTMLResponse:
    """One page, in the language of whoever reads it."""
    language = choose_language(request, principal.locale if principal else None)
    page = environment(language).get_template(template)
    known: Mapping[str, Any] = {"request": request, "principal": principal, "project": project}
    headers = {"cache-control": "no-store", "content-language": language.value}
    return HTMLResponse(page.render(**known, **context), status_code=status, headers=headers)
