"""The guide: new inspectors practise with the desk's own keys and hear at once how they do."""

import json

import pytest
from playwright.sync_api import expect

from app.web.templating import STATIC

pytestmark = pytest.mark.page
ANSWERS = json.loads((STATIC / "guide" / "answers.json").read_text())
KEYS = {"scratch": "1", "stain": "2", "pit": "3", "peeling": "4"}


@pytest.fixture
def guide(watched, workplace):
    watched.sign_in()
    watched.page.goto("/guide")
    expect(watched.page.locator("#count")).to_have_text(f"photo 1 of {len(ANSWERS)}")
    return watched.page


def test_every_answer_is_judged_and_the_end_says_how_many_were_right(guide):
    for number, answer in enumerate(ANSWERS):
        if number:  # the first one is left empty, though it shows something
            for kind in answer["places"]:
                guide.keyboard.press(KEYS[kind])
        guide.keyboard.press("Enter")
        verdict = "All right." if number else "Look again: Scratch"
        expect(guide.locator("#verdict")).to_contain_text(verdict)
        expect(guide.locator("#marks")).to_be_visible()
        guide.keyboard.press("Enter")
    expect(guide.locator("#verdict")).to_contain_text(f"{len(ANSWERS) - 1} of {len(ANSWERS)}")
    guide.keyboard.press("Enter")
    expect(guide.locator("#count")).to_have_text(f"photo 1 of {len(ANSWERS)}")


def test_who_answers_before_the_photo_has_come_sees_its_marks_when_it_comes(watched, workplace):
    watched.sign_in()
    page = watched.page
    let_photo_come = watched.open_without("**/guide/01.jpg", "/guide")
    expect(page.locator("#count")).to_have_text(f"photo 1 of {len(ANSWERS)}")
    page.keyboard.press("Enter")
    expect(page.locator("#verdict")).to_contain_text("Look again")
    expect(page.locator("#marks")).to_be_hidden()
    let_photo_come()
    expect(page.locator("#marks")).to_be_visible()


def test_what_is_missed_and_what_is_not_there_is_said_label_by_label(guide):
    guide.locator(".chip[data-label=stain]").click()
    guide.keyboard.press("Enter")
    said = {key: guide.locator(f".chip[data-label={key}] .confidence") for key in KEYS}
    expect(said["scratch"]).to_have_text("missed")
    expect(said["stain"]).to_have_text("not there")
    expect(said["pit"]).to_have_text("")


@pytest.mark.parametrize("language", ["ja"])
def test_it_speaks_japanese(watched, workplace, language):
    watched.sign_in()
    watched.page.goto("/guide")
    expect(watched.page.locator("#verdict")).to_contain_text("ここでは何も保存されません")
