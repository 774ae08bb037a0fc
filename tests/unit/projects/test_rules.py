"""What slugs, keys, hotkeys, zones and currencies may be."""

import pytest

from app.core.errors import Invalid
from app.projects import rules


@pytest.mark.parametrize("slug", ["a", "line-2", "2026", "a" * 60])
def test_slugs(slug):
    rules.check_slug(slug)


@pytest.mark.parametrize("slug", ["", "-a", "a-", "Line", "a b", "ライン", "a" * 61, "new", "a\n"])
def test_no_slugs(slug):
    with pytest.raises(Invalid):
        rules.check_slug(slug)


@pytest.mark.parametrize("key", ["scratch", "mouse_bite", "d-00", "9"])
def test_keys(key):
    rules.check_key(key)


@pytest.mark.parametrize("key", ["", "Scratch", "傷", "a b", "a/b", "a" * 61, "a\n"])
def test_no_keys(key):
    with pytest.raises(Invalid):
        rules.check_key(key)


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "UTC", "Europe/Berlin"])
def test_zones(zone):
    rules.check_time_zone(zone)


@pytest.mark.parametrize("zone", ["", "Tokyo", "JST", "localtime", "Factory", "../etc/passwd"])
def test_no_zones(zone):
    with pytest.raises(Invalid):
        rules.check_time_zone(zone)


@pytest.mark.parametrize("code", ["yen", "jpy", "XYZ", "", "JPYEN"])
def test_no_currencies(code):
    with pytest.raises(Invalid):
        rules.check_currency(code)


@pytest.mark.parametrize(
    ("given", "plain"), [("k", "k"), ("K", "k"), ("Ｋ", "k"), ("ｱ", "ア"), ("", None), (None, None)]
)
def test_hotkeys_are_one_small_half_width_character(given, plain):
    assert rules.plain_hotkey(given) == plain


@pytest.mark.parametrize("hotkey", ["x", "U", "s", "?", "？", "1", "９", "ab", "\x07"])
def test_no_hotkeys(hotkey):
    with pytest.raises(Invalid):
        rules.plain_hotkey(hotkey)


def test_names_need_a_language_that_kizu_speaks():
    assert rules.plain_names({"ja": " 傷 ", "en": ""}) == {"ja": "傷"}
    for names in ({}, {"ja": " "}, {"de": "Kratzer"}):
        with pytest.raises(Invalid):
            rules.plain_names(names)


def test_prompts_lose_blanks_and_repetitions():
    assert rules.plain_prompts([" a  scratch ", "", "a scratch", "a dent"]) == [
        "a scratch",
        "a dent",
    ]
