"""Two people on one queue: never the same photo, and neither's work at the other's cost."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from app.annotations.models import LabelValue
from tests.e2e.conftest import Watched
from tests.e2e.workplace import EMAIL, Workplace, photo

pytestmark = pytest.mark.page
COLLEAGUE = "colleague@example.com"
PHOTOS = 16  # more than one desk takes ahead
BOTH = {"scratch": LabelValue.PRESENT, "dent": LabelValue.PRESENT}
SCRATCH = {"scratch": LabelValue.PRESENT, "dent": LabelValue.ABSENT}


@pytest.fixture
def mine(watched: Watched, workplace: Workplace) -> Page:
    """My window; the photos that wait for the two of us are in."""
    workplace.add_project("parts")
    workplace.add_colleague(COLLEAGUE)
    watched.sign_in()
    page = watched.page
    page.goto("/projects/parts/images")
    page.locator("#files").set_input_files([photo(number) for number in range(PHOTOS)])
    expect(page.locator("#upload-done")).to_be_visible()
    workplace.ingest()
    workplace.suggest("parts")
    return page


@pytest.fixture
def theirs(mine: Page, browser: Browser, live_url: str) -> Iterator[Page]:
    """My colleague's window, on another computer."""
    size = ViewportSize(width=1280, height=800)
    with browser.new_context(base_url=live_url, locale="en-GB", viewport=size) as context:
        watched = Watched(context.new_page(), urlsplit(live_url).netloc)
        watched.page.on("request", watched.note_request)
        watched.page.on("console", watched.note_message)
        watched.sign_in(COLLEAGUE)
        yield watched.page
        watched.ensure_quiet()


def open_desk(page: Page) -> Page:
    page.goto("/projects/parts/review")
    expect(page.locator("#photo")).to_be_visible()
    return page


def name(desk: Page) -> str:
    return desk.locator("#file-name").inner_text()


def submit(desk: Page) -> str:
    """The photo on the screen is answered and has reached the server; its name."""
    submitted = name(desk)
    desk.keyboard.press("Enter")
    expect(desk.locator("#file-name")).not_to_have_text(submitted)
    expect(desk.locator("#desk")).to_have_attribute("data-unsent", "0")
    return submitted


def finish(desk: Page) -> None:
    """Everything that waits for this desk."""
    desk.goto("/projects/parts/review")
    desk.wait_for_load_state("networkidle")
    while desk.locator("#photo").is_visible():
        submit(desk)


def test_no_photo_is_on_two_desks_and_each_is_answered_once(mine, theirs, workplace):
    open_desk(mine)
    open_desk(theirs)
    for _ in range(2):
        assert name(mine) != name(theirs)
        assert workplace.holders()[name(mine)] == EMAIL
        assert workplace.holders()[name(theirs)] == COLLEAGUE
        submit(mine)
        submit(theirs)
    finish(theirs)
    finish(mine)
    finish(mine)
    known = workplace.truth("parts")
    assert len(known) == PHOTOS
    authors = [workplace.statements(file_name) for file_name in known]
    assert [len(stated) for stated in authors] == [1] * PHOTOS
    assert {stated[0][0] for stated in authors} == {EMAIL, COLLEAGUE}


def test_work_on_a_photo_that_ran_out_is_merged_with_the_others(mine, theirs, workplace):
    open_desk(mine)
    first = name(mine)
    with mine.expect_response("**/heartbeat"):
        mine.keyboard.press("2")
    workplace.end_leases()
    open_desk(theirs)
    assert name(theirs) == first
    expect(theirs.locator(".chip[data-label=dent]")).to_have_attribute("aria-pressed", "false")
    submit(theirs)
    assert workplace.truth("parts")[first] == SCRATCH

    mine.keyboard.press("Enter")
    expect(mine.locator("#lost")).to_be_visible()
    expect(mine.locator("#lost-name")).to_have_text(first)
    expect(mine.locator("#lost-draft tr").nth(1)).to_have_text("DentPresentAbsent")
    expect(mine.locator("#lost-draft tr").nth(1)).to_have_attribute("data-differs", "")
    mine.locator("#lost-mine").click()
    expect(mine.locator("#lost")).to_be_hidden()
    assert workplace.truth("parts")[first] == BOTH
    assert workplace.statements(first) == [(COLLEAGUE, SCRATCH), (EMAIL, BOTH)]


def test_a_photo_that_somebody_else_holds_cannot_be_taken_again(mine, theirs, workplace):
    open_desk(mine)
    first = name(mine)
    workplace.end_leases()
    open_desk(theirs)
    assert workplace.holders()[first] == COLLEAGUE
    mine.keyboard.press("Enter")
    expect(mine.locator("#lost-name")).to_have_text(first)
    with mine.expect_response("**/heartbeat") as beat:
        mine.locator("#lost-retake").click()
    assert beat.value.status == 409, "the next photo is theirs too, but nothing was answered on it"
    expect(mine.locator("#lost-reason")).to_contain_text("Somebody else")
    mine.locator("#lost-continue").click()
    mine.wait_for_load_state("networkidle")
    expect(mine.locator("#lost")).to_be_hidden()
    expect(mine.locator("#file-name")).not_to_have_text(first)
    assert workplace.truth("parts") == {}
    assert submit(theirs) == first
    assert workplace.truth("parts") == {first: SCRATCH}


def test_each_takes_back_only_what_is_their_own(mine, theirs, workplace):
    open_desk(mine)
    open_desk(theirs)
    own = submit(mine)
    others = submit(theirs)
    mine.keyboard.press("u")
    expect(mine.locator("#file-name")).to_have_text(own)
    assert workplace.truth("parts") == {others: SCRATCH}
    mine.keyboard.press("2")
    submit(mine)
    theirs.keyboard.press("u")
    expect(theirs.locator("#file-name")).to_have_text(others)
    assert workplace.truth("parts") == {own: BOTH}
    assert workplace.holders()[others] == COLLEAGUE
