"""Grid review: many photos of one suggestion, by mouse and by keyboard."""

import pytest
from playwright.sync_api import expect

from app.annotations.models import LabelValue

pytestmark = pytest.mark.page
PHOTOS = 8


@pytest.fixture
def grid(watched, workplace):
    """Eight photos, of which a model suggests `scratch` with 93 % confidence."""
    workplace.add_suggestions("parts", PHOTOS)
    watched.sign_in()
    page = watched.page
    page.goto("/projects/parts/grid")
    expect(page.locator("#tiles li")).to_have_count(PHOTOS)
    return page


def scratches(workplace):
    return sorted(values["scratch"] for values in workplace.truth("parts").values())


def test_the_keyboard_selects_decides_and_takes_back(grid, workplace):
    tiles = grid.locator("#tiles li")
    tiles.first.focus()
    grid.keyboard.press("Space")
    grid.keyboard.press("ArrowRight")
    grid.keyboard.press("Shift+ArrowRight")
    expect(grid.locator("#selected")).to_have_text("3 selected")
    grid.keyboard.press("a")
    expect(grid.locator("#status")).to_have_text("3 accepted")
    expect(tiles).to_have_count(PHOTOS - 3)
    grid.keyboard.press("Control+a")
    grid.keyboard.press("x")
    expect(grid.locator("#nothing")).to_be_visible()
    assert scratches(workplace) == [LabelValue.ABSENT] * 5 + [LabelValue.PRESENT] * 3
    grid.keyboard.press("u")
    expect(tiles).to_have_count(PHOTOS - 3)
    grid.keyboard.press("u")
    expect(tiles).to_have_count(PHOTOS)
    assert workplace.truth("parts") == {}


def test_the_mouse_drags_over_photos_and_takes_ranges(grid):
    tiles = grid.locator("#tiles li")
    boxes = [tiles.nth(number).bounding_box() for number in range(3)]
    grid.mouse.move(boxes[0]["x"] + 20, boxes[0]["y"] + 20)
    grid.mouse.down()
    for box in boxes[1:]:
        grid.mouse.move(box["x"] + 20, box["y"] + 20, steps=4)
    grid.mouse.up()
    expect(grid.locator("#selected")).to_have_text("3 selected")
    tiles.nth(1).click()
    expect(tiles.nth(1)).to_have_attribute("aria-selected", "false")
    tiles.nth(5).click(modifiers=["Shift"])
    expect(grid.locator("#selected")).to_have_text("6 selected")
    tiles.nth(5).focus()
    grid.keyboard.press("Escape")
    expect(grid.locator("#selected")).to_have_text("0 selected")


def test_the_threshold_says_how_many_and_how_wrong_before_they_are_accepted(grid, workplace):
    threshold = grid.locator("#threshold")
    threshold.fill("0.95")
    expect(grid.locator("#estimate")).to_have_text("From 95% on: none of 8 suggestions.")
    expect(grid.locator("#accept-above")).to_be_disabled()
    threshold.fill("0.9")
    expect(grid.locator("#estimate")).to_contain_text(
        "8 of 8 suggestions, about 7.0% of them wrong"
    )
    expect(grid.locator("#promise")).to_contain_text("Nothing is promised")
    grid.once("dialog", lambda dialog: dialog.accept())
    grid.locator("#accept-above").click()
    expect(grid.locator("#nothing")).to_be_visible()
    assert scratches(workplace) == [LabelValue.PRESENT] * PHOTOS
    grid.locator("#undo").click()
    expect(grid.locator("#tiles li")).to_have_count(PHOTOS)
    assert workplace.truth("parts") == {}


def test_it_opens_at_the_first_label_of_which_something_waits(grid, workplace):
    workplace.order_labels("parts", ["dent", "scratch"])
    grid.goto("/projects/parts/grid")
    expect(grid.locator("select[name=label]")).to_have_value("scratch")
    expect(grid.locator("#tiles li")).to_have_count(PHOTOS)
    grid.goto("/projects/parts/grid?value=absent")
    expect(grid.locator("select[name=label]")).to_have_value("dent")
    expect(grid.locator("#nothing")).to_be_visible()


@pytest.mark.parametrize("language", ["ja"])
def test_another_label_and_order_are_in_the_address(grid, language):
    grid.locator("select[name=label]").select_option("dent")
    grid.wait_for_url("**label=dent**")
    expect(grid.locator("#nothing")).to_be_visible()
    expect(grid.locator("h1")).to_have_text("一覧で確認")


def test_a_tap_selects_and_a_finger_that_moves_does_not(grid):
    tiles = grid.locator("#tiles li")
    touch = """([name, number]) => document.querySelectorAll("#tiles li")[number].dispatchEvent(
        new PointerEvent(name, { pointerType: "touch", bubbles: true })
    )"""
    grid.evaluate(touch, ["pointerdown", 1])
    grid.evaluate(touch, ["pointerover", 2])
    expect(grid.locator("#selected")).to_have_text("0 selected")
    grid.evaluate(touch, ["click", 1])
    expect(tiles.nth(1)).to_have_attribute("aria-selected", "true")
