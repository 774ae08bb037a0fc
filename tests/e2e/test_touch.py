"""A tablet: everything of the day's work by finger alone, upright and on its side."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, ViewportSize, expect

from app.annotations.models import LabelValue
from tests.e2e.conftest import LOCALES, Watched
from tests.e2e.workplace import Workplace, photo

pytestmark = pytest.mark.page
SIZES = {"on its side": (1024, 768), "upright": (768, 1024)}
PHOTOS = 6
PATHS = ("", "/images", "/annotate", "/review", "/grid", "/jobs", "/kpis", "/labels", "/exchange")
LEAST = 44  # pixels that a finger needs: WCAG 2.2, 2.5.5
SMALL_TARGETS = """(least) => {
    const targets = "button, select, textarea, summary, nav a, a.button, label.button, " +
        "input:not([type=checkbox]):not([type=radio]):not([type=hidden]):not(.visually-hidden)";
    return [...document.querySelectorAll(targets)]
        .map((one) => [one, one.getBoundingClientRect()])
        .filter(([one, box]) => box.height > 0 && one.checkVisibility({ visibilityProperty: true }))
        .filter(([, box]) => Math.min(box.width, box.height) < least - 0.5)
        .map(([one, box]) => `${one.outerHTML.slice(0, 100)} ${box.width} x ${box.height}`);
}"""


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest) -> ViewportSize:
    width, height = SIZES[request.param]
    return ViewportSize(width=width, height=height)


@pytest.fixture
def context(
    browser: Browser, live_url: str, workplace: Workplace, language: str, size: ViewportSize
) -> Iterator[BrowserContext]:
    with browser.new_context(
        base_url=live_url,
        locale=LOCALES[language],
        viewport=size,
        has_touch=True,
        is_mobile=True,
    ) as context:
        yield context


@pytest.fixture
def tablet(watched: Watched, workplace: Workplace) -> Page:
    """A tablet whose owner is signed in; suggestions wait."""
    workplace.add_project("parts")
    watched.sign_in()
    page = watched.page
    page.goto("/projects/parts/images")
    page.locator("#files").set_input_files([photo(number) for number in range(PHOTOS)])
    expect(page.locator("#upload-done")).to_be_visible()
    workplace.ingest()
    workplace.suggest("parts")
    return page


class Fingers:
    """Real touches, as the browser gets them from a screen."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._session: CDPSession = page.context.new_cdp_session(page)

    def send(self, kind: str, *points: tuple[float, float]) -> None:
        touches = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        self._session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    def hold(self, selector: str) -> None:
        target = self._page.locator(selector)
        target.scroll_into_view_if_needed()
        box = target.bounding_box()
        assert box is not None
        self.send("touchStart", (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2))
        self._page.wait_for_timeout(800)
        self.send("touchEnd")


@pytest.fixture
def desk(tablet: Page) -> Page:
    tablet.goto("/projects/parts/review")
    expect(tablet.locator("#photo")).to_be_visible()
    return tablet


def test_photos_are_reviewed_by_touch_alone(desk, workplace):
    first = desk.locator("#file-name").inner_text()
    scratch, dent = (desk.locator(f".chip[data-label={key}]") for key in ("scratch", "dent"))
    desk.locator("[data-does=heat]").tap()
    expect(desk.locator("#heat")).to_be_visible()
    desk.locator("[data-does=heat]").tap()
    expect(desk.locator("#heat")).to_be_hidden()
    dent.tap()
    expect(dent).to_have_attribute("aria-pressed", "true")
    Fingers(desk).hold(".chip[data-label=scratch]")
    expect(scratch).to_have_attribute("aria-pressed", "mixed")
    scratch.tap()
    expect(scratch).to_have_attribute("aria-pressed", "true")
    desk.locator("#submit").tap()
    expect(desk.locator("#status")).to_have_text("Saved")
    both = {"scratch": LabelValue.PRESENT, "dent": LabelValue.PRESENT}
    assert workplace.truth("parts") == {first: both}
    desk.locator("#undo").tap()
    expect(desk.locator("#file-name")).to_have_text(first)
    assert workplace.truth("parts") == {}
    desk.locator("#skip").tap()
    expect(desk.locator("#file-name")).not_to_have_text(first)
    desk.locator("#clear").tap()
    expect(scratch).to_have_attribute("aria-pressed", "false")


def view(desk: Page) -> tuple[float, float]:
    """How large the photo is shown, and how far it lies to the left."""
    matrix = desk.evaluate(
        "() => { const m = new DOMMatrix(getComputedStyle(document.querySelector('#view'))"
        ".transform); return [m.a, m.e]; }"
    )
    return matrix[0], matrix[1]


def test_two_fingers_look_closer_and_one_moves_the_photo(desk):
    box = desk.locator("#stage").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    fingers = Fingers(desk)
    fingers.send("touchStart", (x - 40, y), (x + 40, y))
    for apart in (60, 80, 120):
        fingers.send("touchMove", (x - apart, y), (x + apart, y))
    fingers.send("touchEnd")
    scale, left = view(desk)
    assert scale == pytest.approx(3, rel=0.05)
    fingers.send("touchStart", (x, y))
    for step in (20, 40, 60):
        fingers.send("touchMove", (x + step, y))
    desk.wait_for_timeout(500)  # a finger that flicks makes the browser swallow the next tap
    fingers.send("touchEnd")
    assert view(desk) == pytest.approx((scale, left + 60), abs=2)
    assert desk.evaluate("visualViewport.scale") == 1
    desk.locator("[data-does=fit]").tap()
    expect(desk.locator("#stage")).not_to_have_attribute("data-zoomed", "")
    assert view(desk) == (1, 0)


def test_the_grid_is_decided_by_touch_alone(tablet, workplace):
    tablet.goto("/projects/parts/grid")
    tiles = tablet.locator("#tiles li")
    expect(tiles).to_have_count(PHOTOS)
    tiles.nth(0).tap()
    tiles.nth(2).tap()
    tiles.nth(2).tap()
    tiles.nth(3).tap()
    expect(tablet.locator("#selected")).to_have_text("2 selected")
    tablet.locator("#accept").tap()
    expect(tiles).to_have_count(PHOTOS - 2)
    tablet.locator("#all").tap()
    tablet.locator("#reject").tap()
    expect(tablet.locator("#nothing")).to_be_visible()
    assert len(workplace.truth("parts")) == PHOTOS
    tablet.locator("#undo").tap()
    expect(tiles).to_have_count(PHOTOS - 2)


@pytest.mark.parametrize("language", ["ja", "en"])
def test_every_target_is_large_enough_and_no_page_is_too_wide(tablet, language, size):
    tablet.goto("/projects/parts/images")
    tablet.locator("#open-upload").tap()
    found = tablet.evaluate(SMALL_TARGETS, LEAST)
    for path in PATHS:
        tablet.goto(f"/projects/parts{path}")
        tablet.wait_for_load_state("networkidle")
        found += [f"{path}: {one}" for one in tablet.evaluate(SMALL_TARGETS, LEAST)]
        if tablet.evaluate("document.documentElement.scrollWidth") > size["width"]:
            found.append(f"{path} is wider than the screen")
    assert found == []
