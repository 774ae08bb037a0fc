"""Every page as axe-core sees it: no serious finding, in either theme."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from app.jobs.models import JobState
from scripts.screenshots import SCROLL_TO_LATE_PARTS

pytestmark = pytest.mark.page
SERIOUS = {"serious", "critical"}
PATHS = ("", "/images", "/annotate", "/review", "/grid", "/jobs", "/models", "/models/1", "/kpis")
MORE_PATHS = ("/labels", "/exchange", "/settings")
SETTINGS = ("members", "account", "tokens", "audit")
COMPARISONS = ("/models/2", "/models/acceptance", "/models/compare", "/models/compare?versions=1,2")


@pytest.fixture
def page(watched, workplace):
    """Somebody who is signed in, a project with photos and a model's suggestions."""
    workplace.add_suggestions("parts", 3)
    workplace.make_administrator()
    watched.sign_in()
    return watched.page


def findings(page, address):
    """What is serious on a page once it has come to rest: rule, and the first element."""
    page.goto(address)
    page.wait_for_load_state("networkidle")
    page.evaluate(SCROLL_TO_LATE_PARTS)
    expect(page.locator("[aria-busy=true][hx-trigger=revealed]")).to_have_count(0)
    found = Axe().run(page).response["violations"]
    return [
        f"{address}: {one['id']}: {one['nodes'][0]['html'][:120]}"
        for one in found
        if one["impact"] in SERIOUS
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_has_a_serious_finding(page, workplace, theme):
    workplace.add_candidate("parts")
    job = workplace.add_job("parts", JobState.RUNNING, stage="Learning from labels")
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    addresses = [
        "/projects",
        "/projects/new",
        "/guide",
        *(f"/projects/parts{one}" for one in PATHS),
    ]
    addresses += [*(f"/projects/parts{one}" for one in MORE_PATHS + COMPARISONS), job]
    addresses += [f"/settings/{one}" for one in SETTINGS]
    found = [line for address in addresses for line in findings(page, address)]
    assert found == []


def test_neither_do_dialogs_and_selections(page):
    page.goto("/projects/parts/review")
    expect(page.locator("#photo")).to_be_visible()
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    found = [
        one["id"] for one in Axe().run(page).response["violations"] if one["impact"] in SERIOUS
    ]
    page.goto("/projects/parts/grid")
    expect(page.locator("#tiles li")).to_have_count(3)
    page.locator("#tiles li").first.focus()
    page.keyboard.press("Control+a")
    found += [
        one["id"] for one in Axe().run(page).response["violations"] if one["impact"] in SERIOUS
    ]
    assert found == []


def test_strangers_meet_no_serious_finding(watched, workplace):
    assert findings(watched.page, "/sign-in") == []
