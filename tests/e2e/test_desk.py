"""What may go wrong at the desk, and must not cost anybody their work."""

import pytest
from playwright.sync_api import expect

from app.annotations.models import LabelValue
from tests.e2e.workplace import photo

pytestmark = pytest.mark.page


@pytest.fixture
def desk(watched, workplace):
    """The review desk with three suggestions waiting."""
    workplace.add_project("parts")
    watched.sign_in()
    page = watched.page
    page.goto("/projects/parts/images")
    page.locator("#files").set_input_files([photo(number) for number in range(3)])
    expect(page.locator("#upload-done")).to_be_visible()
    workplace.ingest()
    workplace.suggest("parts")
    page.goto("/projects/parts/review")
    expect(page.locator("#photo")).to_be_visible()
    return page


def test_a_lost_lease_gives_the_work_back(desk, workplace):
    name = desk.locator("#file-name").inner_text()
    with desk.expect_response("**/heartbeat"):
        desk.keyboard.press("2")
    workplace.drop_leases()
    desk.keyboard.press("Enter")
    expect(desk.locator("#lost")).to_be_visible()
    expect(desk.locator("#lost-draft")).to_contain_text(name)
    expect(desk.locator("#lost-draft")).to_contain_text("Dent: Present")
    assert workplace.truth("parts") == {}

    desk.locator("#lost-retake").click()
    expect(desk.locator("#file-name")).to_have_text(name)
    expect(desk.locator(".chip[data-label=dent]")).to_have_attribute("aria-pressed", "true")
    desk.keyboard.press("Enter")
    expect(desk.locator("#status")).to_have_text("Saved")
    both = {"scratch": LabelValue.PRESENT, "dent": LabelValue.PRESENT}
    assert workplace.truth("parts")[name] == both


def test_a_reloaded_page_goes_on_where_it_was(desk):
    name = desk.locator("#file-name").inner_text()
    with desk.expect_response("**/heartbeat"):
        desk.keyboard.press("2")
    desk.reload()
    expect(desk.locator("#file-name")).to_have_text(name)
    expect(desk.locator(".chip[data-label=dent]")).to_have_attribute("aria-pressed", "true")


def test_a_lost_network_only_delays(desk, workplace, watched):
    desk.context.set_offline(True)
    desk.keyboard.press("Enter")
    expect(desk.locator("#status")).to_contain_text("not sent yet")
    desk.context.set_offline(False)
    expect(desk.locator("#status")).to_have_text("Saved", timeout=20_000)
    assert len(workplace.truth("parts")) == 1
    watched.complaints.clear()


def test_undo_keeps_the_marks_on_the_photo_in_hand(desk, workplace):
    first = desk.locator("#file-name").inner_text()
    desk.keyboard.press("Enter")
    expect(desk.locator("#status")).to_have_text("Saved")
    second = desk.locator("#file-name").inner_text()
    with desk.expect_response("**/heartbeat") as kept:
        desk.keyboard.press("2")
        desk.keyboard.press("u")
    expect(desk.locator("#file-name")).to_have_text(first)
    dent = desk.locator(".chip[data-label=dent]")
    expect(dent).to_have_attribute("aria-pressed", "false")
    assert kept.value.ok
    desk.keyboard.press("Enter")
    expect(desk.locator("#file-name")).to_have_text(second)
    expect(dent).to_have_attribute("aria-pressed", "true")
    desk.keyboard.press("Enter")
    expect(desk.locator("#file-name")).not_to_have_text(second)
    expect(desk.locator("#desk")).to_have_attribute("data-unsent", "0")
    known = workplace.truth("parts")
    assert known[first]["dent"] == LabelValue.ABSENT
    assert known[second]["dent"] == LabelValue.PRESENT


def test_full_width_digits_and_the_help_key_work(desk):
    chip = desk.locator(".chip[data-label=scratch]")
    desk.keyboard.press("Shift+Digit1")
    expect(chip).to_have_attribute("aria-pressed", "mixed")
    desk.keyboard.press("?")
    expect(desk.locator("#keys")).to_be_visible()
    desk.keyboard.press("x")
    expect(chip).to_have_attribute("aria-pressed", "mixed")
    desk.keyboard.press("Escape")
    desk.keyboard.press("x")
    expect(chip).to_have_attribute("aria-pressed", "false")


def test_the_clock_stops_when_nobody_works(desk):
    seconds = desk.evaluate(
        """async () => {
          const { ActiveClock } = await import("/static/clock.js");
          let now = 0;
          const clock = new ActiveClock(() => now);
          now = 20_000; clock.touch();
          now = 500_000;
          const idle = clock.seconds;
          clock.touch();
          now = 505_000;
          return [idle, clock.seconds];
        }"""
    )
    assert seconds == [80, 85]


def test_a_suggestion_shows_where_it_was_seen(desk):
    heat, chip = desk.locator("#heat"), desk.locator(".chip[data-label=scratch]")
    expect(heat).to_be_hidden()
    desk.keyboard.press("h")
    expect(heat).to_be_visible()
    expect(chip).to_have_attribute("data-explained", "")
    expect(desk.locator("#status")).to_have_text("Where the model sees: Scratch")
    opacity = """([x, y]) => {
        const map = document.querySelector("#heat").getContext("2d");
        return map.getImageData(x, y, 1, 1).data[3];
    }"""
    assert desk.evaluate(opacity, [3, 3]) > 100
    assert desk.evaluate(opacity, [12, 12]) == 0
    box, photo_box = heat.bounding_box(), desk.locator("#photo").bounding_box()
    assert box["width"] / box["height"] == pytest.approx(160 / 120, abs=0.02)
    assert box["x"] >= photo_box["x"]
    assert box["y"] + box["height"] <= photo_box["y"] + photo_box["height"] + 1
    desk.keyboard.press("h")
    expect(heat).to_be_hidden()
    desk.keyboard.press("h")
    expect(heat).to_be_visible()
    desk.keyboard.press("Enter")
    expect(heat).to_be_hidden()
