"""The audit log speaks in words: every action that is recorded anywhere has some."""

import ast
import re
from pathlib import Path

import pytest

import app
from app.core.audit import AuditEvent
from app.web.languages import Language
from app.web.templating import environment
from app.web.trail_pages import ACTIONS, OBJECT_TYPES, Change, changes

SOURCES = Path(app.__file__).parents[1]
ACTION = re.compile(r"(?:user|token|project|labels?|image|photos|model)\.[a-z_]+")
NO_ACTIONS = {"id", "html", "csv", "onnx", "safetensors"}


def recorded_actions() -> set[str]:
    words = {
        node.value
        for folder in ("app", "worker")
        for path in (SOURCES / folder).rglob("*.py")
        if path.name != "trail_pages.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {w for w in words if ACTION.fullmatch(w) and w.split(".")[1] not in NO_ACTIONS}


def test_the_page_knows_every_action_that_is_recorded():
    examples = {"label.edited", "project.edited"}
    assert recorded_actions() >= examples
    assert recorded_actions() == set(ACTIONS)


@pytest.mark.parametrize("language", list(Language))
def test_it_has_words_for_all_of_them(language):
    words = environment(language).get_template("settings_parts.html").module
    assert [one for one in ACTIONS if words.action_name(one) == one] == []
    assert [one for one in OBJECT_TYPES if words.object_type_name(one) == one] == []


def test_what_changed_is_told_member_by_member():
    event = AuditEvent(
        before={"role": "viewer", "disabled": False, "hotkey": None, "same": 1},
        after={"role": "admin", "disabled": True, "hotkey": "k", "same": 1, "id": "x"},
    )
    assert changes(event) == [
        Change("role", "viewer", "admin"),
        Change("disabled", "false", "true"),
        Change("hotkey", "", "k"),
    ]


def test_what_begins_or_ends_has_one_side():
    assert changes(AuditEvent(before=None, after={"name": "Boards"})) == [
        Change("name", None, "Boards")
    ]
    assert changes(AuditEvent(before={"keys": ["a", "b"]}, after=None)) == [
        Change("keys", "a, b", None)
    ]
    assert changes(AuditEvent(before=None, after=None)) == []


def test_shares_are_told_in_percent():
    event = AuditEvent(before={"control_rate": 0.07}, after={"control_rate": 0.125})
    assert changes(event) == [Change("control_rate", "7%", "12.5%")]


def test_names_in_several_languages_are_told():
    event = AuditEvent(before={"names": {"ja": "傷"}}, after={"names": {"ja": "キズ", "en": "s"}})
    assert changes(event) == [Change("names", "ja: 傷", "ja: キズ, en: s")]


def test_a_version_that_the_gate_had_nothing_to_compare_with_was_not_judged():
    words = environment(Language.ENGLISH).get_template("settings_parts.html").module
    told = [words.changed_value("gate", value).strip() for value in ("", "true", "false")]
    assert told == ["not judged", "yes", "no"]
    assert words.field_name("live") == "Live version"
