"""What may go wrong at the desk, and must not cost anybody their work."""

import io

import numpy as np
import pytest
from PIL import Image as Pillow
from playwright.sync_api import FilePayload, expect

from app.annotations.models import LabelValue

pytestmark = pytest.mark.page


@pytest.fixture
def desk(watched, workplace):
    """The review desk with three suggestions waiting."""
    workplace.add_suggestions("parts", 3)
    watched.sign_in()
    page = watched.page
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
    expect(desk.locator("#lost-name")).to_have_text(name)
    expect(desk.locator("#lost-draft tr").nth(1)).to_have_text("DentPresentnothing yet")
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
    expect(desk.locator("#unsent")).to_contain_text("1 not sent yet")
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


def scale(desk) -> float:
    return desk.evaluate(
        "new DOMMatrix(getComputedStyle(document.querySelector('#view')).transform).a"
    )


def test_looking_closer_by_wheel_keys_and_buttons(desk):
    stage = desk.locator("#stage").bounding_box()
    desk.mouse.move(stage["x"] + 100, stage["y"] + 100)
    desk.mouse.wheel(0, -400)
    assert scale(desk) > 1.5
    point = "document.elementFromPoint({x}, {y}).id".format(
        x=stage["x"] + stage["width"] / 2, y=stage["y"] + stage["height"] / 2
    )
    assert desk.evaluate(point) == "photo"
    desk.keyboard.press("0")
    assert scale(desk) == 1
    desk.keyboard.press("+")
    desk.keyboard.press("+")
    assert scale(desk) == pytest.approx(2.25)
    desk.keyboard.press("-")
    assert scale(desk) == pytest.approx(1.5)
    desk.get_by_role("button", name="Whole photo").click()
    assert scale(desk) == 1
    desk.keyboard.press("+")
    desk.keyboard.press("Enter")
    assert scale(desk) == 1, "the next photo is shown whole"


def test_dragging_moves_a_closer_look_and_never_off_the_photo(desk):
    left = "new DOMMatrix(getComputedStyle(document.querySelector('#view')).transform).e"
    stage = desk.locator("#stage").bounding_box()
    for _ in range(3):
        desk.keyboard.press("+")
    before = desk.evaluate(left)
    desk.mouse.move(stage["x"] + 300, stage["y"] + 300)
    desk.mouse.down()
    desk.mouse.move(stage["x"] + 340, stage["y"] + 300, steps=3)
    desk.mouse.up()
    assert desk.evaluate(left) == pytest.approx(before + 40)
    desk.mouse.down()
    desk.mouse.move(stage["x"] + 5000, stage["y"] + 300, steps=3)
    desk.mouse.up()
    assert desk.evaluate(left) == 0


def test_two_fingers_pinch(desk):
    pinch = """() => {
        const stage = document.querySelector("#stage");
        stage.setPointerCapture = () => {};
        const box = stage.getBoundingClientRect();
        const touch = (type, pointerId, x) => {
            const place = { clientX: box.left + x, clientY: box.top + 200, bubbles: true };
            stage.dispatchEvent(new PointerEvent(type, { pointerId, ...place }));
        };
        touch("pointerdown", 11, 200);
        touch("pointerdown", 12, 300);
        touch("pointermove", 12, 400);
        touch("pointerup", 11, 200);
        touch("pointerup", 12, 400);
    }"""
    desk.evaluate(pinch)
    assert scale(desk) == pytest.approx(2)


def test_another_order_brings_other_photos(desk):
    with desk.expect_request(lambda r: r.method == "POST" and r.url.endswith("/leases")) as asked:
        desk.locator("#order").select_option("newest")
    assert asked.value.post_data_json["order"] == "newest"
    desk.goto("/projects/parts/review?order=margin")
    expect(desk.locator("#order")).to_have_value("margin")


def test_keys_can_be_changed_and_stay_so(desk, workplace):
    desk.keyboard.press("?")
    button = desk.locator("button[data-change=submit]")
    button.click()
    desk.keyboard.press("u")
    expect(desk.locator("#keys-problem")).to_contain_text("u")
    button.click()
    desk.keyboard.press("j")
    expect(desk.locator("#submit kbd")).to_have_text("j")
    desk.keyboard.press("Escape")
    desk.reload()
    expect(desk.locator("#photo")).to_be_visible()
    desk.keyboard.press("Enter")
    desk.keyboard.press("j")
    expect(desk.locator("#status")).to_have_text("Saved")
    assert len(workplace.truth("parts")) == 1
    desk.keyboard.press("?")
    desk.locator("#keys-reset").click()
    expect(desk.locator("#submit kbd")).to_have_text("Enter")


def test_what_was_not_sent_is_sent_by_the_next_page(desk, workplace, watched):
    desk.route("**/submit", lambda route: route.abort())
    desk.reload()  # under load a page that is open sends its first request past a new route
    expect(desk.locator("#photo")).to_be_visible()
    name = desk.locator("#file-name").inner_text()
    desk.keyboard.press("Enter")
    expect(desk.locator("#unsent")).to_be_visible()
    desk.once("dialog", lambda dialog: dialog.accept())
    desk.reload()
    expect(desk.locator("#photo")).to_be_visible()
    expect(desk.locator("#file-name")).not_to_have_text(name)
    desk.unroute("**/submit")
    expect(desk.locator("#status")).to_have_text("Saved")
    expect(desk.locator("#unsent")).to_be_hidden()
    assert list(workplace.truth("parts")) == [name]
    watched.complaints.clear()


def test_an_ended_session_only_delays(desk, workplace):
    cookies = desk.context.cookies()
    desk.context.clear_cookies()
    desk.keyboard.press("Enter")
    expect(desk.locator("#unsent")).to_contain_text("signed out")
    expect(desk.locator("#sign-in")).to_be_visible()
    desk.context.add_cookies(cookies)
    expect(desk.locator("#status")).to_have_text("Saved")
    assert len(workplace.truth("parts")) == 1


def test_two_answers_lie_side_by_side_when_a_lease_was_lost(desk, workplace):
    name = desk.locator("#file-name").inner_text()
    workplace.drop_leases()
    workplace.state("parts", name, scratch=LabelValue.ABSENT, dent=LabelValue.ABSENT)
    desk.keyboard.press("Enter")
    rows = desk.locator("#lost-draft tr")
    expect(rows.nth(0)).to_have_text("ScratchPresentAbsent")
    expect(rows.nth(0)).to_have_attribute("data-differs", "")
    expect(rows.nth(1)).not_to_have_attribute("data-differs", "")
    desk.locator("#lost-mine").click()
    expect(desk.locator("#lost")).to_be_hidden()
    assert workplace.truth("parts")[name]["scratch"] == LabelValue.PRESENT


def test_deep_greys_are_seen_through_a_window_of_ones_own(watched, workplace):
    values = np.full((120, 160), 1000, np.uint16)
    values[:, 80:] = 1100
    values[0, :2] = 0, 4000
    file = io.BytesIO()
    Pillow.fromarray(values).save(file, "PNG")
    deep = FilePayload(name="deep.png", mimeType="image/png", buffer=file.getvalue())
    workplace.add_project("parts")
    workplace.receive("parts", [deep])
    workplace.ingest()
    watched.sign_in()
    desk = watched.page
    desk.goto("/projects/parts/annotate")
    expect(desk.locator("#levels")).to_be_visible()
    expect(desk.locator("#deep")).to_be_hidden()
    desk.locator("#level-low").fill("16384")
    expect(desk.locator("#deep")).to_be_visible()
    desk.locator("#level-low").fill("1000")
    desk.locator("#level-high").fill("1250")
    grey = """(x) => {
        const greys = document.querySelector("#deep").getContext("2d");
        return greys.getImageData(x, 60, 1, 1).data[0];
    }"""
    assert [desk.evaluate(grey, x) for x in (20, 120)] == [0, 102]
    desk.locator("#level-reset").click()
    expect(desk.locator("#deep")).to_be_hidden()


def test_photos_of_eight_bits_have_no_window(desk):
    expect(desk.locator("#levels")).to_be_hidden()
