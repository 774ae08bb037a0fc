"""Pages of models and trainings: versions side by side, rolling back, starting, cancelling."""

import re

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from app.annotations.models import LabelValue
from app.core.db import transaction
from app.jobs.models import Job, JobKind, JobState
from app.training.models import ModelState, ModelVersion
from scripts.screenshots import SCROLL_TO_LATE_PARTS
from tests.e2e.workplace import photo

pytestmark = pytest.mark.page


@pytest.fixture
def page(watched, workplace):
    """Somebody who is signed in, and a project with a live version and a doubtful candidate."""
    workplace.add_project("parts")
    watched.sign_in()
    page = watched.page
    page.goto("/projects/parts/images")
    page.locator("#files").set_input_files([photo(number) for number in range(2)])
    expect(page.locator("#upload-done")).to_be_visible()
    workplace.ingest()
    workplace.suggest("parts")
    workplace.add_candidate("parts")
    return page


def states(workplace):
    with transaction(workplace.sessions) as session:
        versions = session.scalars(select(ModelVersion).order_by(ModelVersion.number))
        return [version.state for version in versions]


def answer_dialogs(page, *, accept):
    """What dialogues said, each answered alike."""
    said = []

    def answer(dialog):
        said.append(dialog.message)
        if accept:
            dialog.accept()
        else:
            dialog.dismiss()

    page.on("dialog", answer)
    return said


def test_mistakes_come_when_the_page_is_scrolled_to_them(page):
    page.goto("/projects/parts/models/1")
    page.evaluate(SCROLL_TO_LATE_PARTS)
    alarms = page.locator("#mistakes .strip li")
    expect(alarms).to_have_text(["93%", "93%"])  # of either label


def test_two_versions_are_compared_by_keyboard(page):
    page.goto("/projects/parts/models")
    ticks = page.get_by_role("checkbox")
    expect(ticks).to_have_count(2)
    assert [tick.is_checked() for tick in ticks.all()] == [True, True], "proposed"
    ticks.first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Choose two or three versions")
    page.get_by_role("checkbox", name="Version 2").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"compare\?versions=2&versions=1$"))
    expect(page.locator("#precision")).to_contain_text("the one photo")
    mended = page.locator("#changes-2 .photo")
    expect(mended).to_have_count(2)  # both labels of the photo
    expect(mended.first).to_contain_text("93% → 10%")
    expect(mended.first.locator("img")).to_have_js_property("complete", True)
    mended.first.locator("a").click()
    expect(page).to_have_url(re.compile(r"/projects/parts/images/[0-9a-f-]{36}$"))


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_gate_speaks_in_words(page, language):
    page.goto("/projects/parts/models/2")
    words = {
        "en": ["It may be worse than version 1 on: Scratch.", "10.0 points worse"],
        "ja": ["版 1 に劣るおそれがあるラベル：傷。", "10.0 ポイント悪い"],
    }[language]
    expect(page.locator(".notice.bad").filter(has_text=words[0])).to_be_visible()
    expect(page.locator("#gate tbody tr").first).to_contain_text(words[1])


def test_going_live_and_back_says_what_happens(page, workplace):
    page.goto("/projects/parts/models/2")
    said = answer_dialogs(page, accept=True)
    page.locator(".on-page a").nth(1).click()
    page.get_by_role("button", name="Make it live").click()
    expect(page.get_by_role("button", name="Roll back to version 1")).to_be_visible()
    expect(page.locator(".page-head")).to_contain_text("Made live by a person · Inspector")
    assert states(workplace) == [ModelState.RETIRED, ModelState.LIVE]
    assert "1 suggestion of version 1 is open." in said[0]
    assert "Its gate did not let it pass." in said[0]
    page.get_by_role("button", name="Roll back to version 1").click()
    expect(page.get_by_role("button", name="Make it live")).to_be_visible()
    assert states(workplace) == [ModelState.LIVE, ModelState.RETIRED]
    page.goto("/projects/parts/models")
    rows = page.locator("#history tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("Rolled back")
    expect(rows.first).to_contain_text("Inspector")


def test_a_training_starts_with_what_was_set_and_opens_its_page(page, workplace):
    workplace.state("parts", "part-1.png", scratch=LabelValue.PRESENT)
    page.goto("/projects/parts/jobs")
    page.locator("#train summary").click()
    page.get_by_label("How long").select_option("900")
    page.get_by_role("button", name="Start a training").click()
    page.wait_for_url(re.compile(r"/projects/parts/jobs/[0-9a-f-]{36}$"))
    expect(page.locator(".facts")).to_contain_text("at most about 15 min")
    expect(page.locator(".facts")).to_contain_text("Inspector")
    with transaction(workplace.sessions) as session:
        (job,) = session.scalars(select(Job).where(Job.kind == JobKind.TRAIN, Job.payload != {}))
        assert job.payload["time_budget_seconds"] == 900
        assert (job.payload["mode"], job.payload["predict"]) == (None, True)


def test_a_training_that_cannot_start_says_why_and_keeps_what_was_set(watched, workplace):
    workplace.add_project("empty")
    watched.sign_in()
    page = watched.page
    page.goto("/projects/empty/jobs")
    page.locator("#train summary").click()
    page.get_by_label("How long").select_option("900")
    page.get_by_role("button", name="Start a training").click()
    expect(page.locator("#train [role=alert]")).to_contain_text("Annotate at least one photo")
    expect(page.get_by_label("How long")).to_have_value("900")


def test_cancelling_is_asked_about_first(page, workplace):
    address = workplace.add_job(
        "parts", JobState.RUNNING, stage="Learning from labels", eta_seconds=230.0, progress=0.4
    )
    page.goto(address)
    stage = page.locator("[data-job-stage]")
    expect(stage).to_have_text("Learning from labels · about 4 minutes left")
    asked = answer_dialogs(page, accept=False)
    page.get_by_role("button", name="Cancel").click()
    assert len(asked) == 1
    assert "the live version" in asked[0]
    expect(page.get_by_role("button", name="Cancel")).to_be_enabled()
    with transaction(workplace.sessions) as session:
        assert not session.scalars(select(Job).where(Job.stage != "")).one().cancel_requested


def test_a_cancelled_training_says_that_nothing_changed(page, workplace):
    page.goto(workplace.add_job("parts", JobState.QUEUED))
    expect(page.locator(".notice:not([hidden])")).to_contain_text("waits for its turn")
    answer_dialogs(page, accept=True)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".notice.caution")).to_contain_text("It made no version")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)


def test_a_running_training_stops_when_its_worker_does(page, workplace):
    page.goto(workplace.add_job("parts", JobState.RUNNING, lease_owner="somebody"))
    answer_dialogs(page, accept=True)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("[data-job-stage]")).to_have_text("Being cancelled")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)


def test_a_contract_begins_and_ends_on_its_page(page):
    said = answer_dialogs(page, accept=True)
    page.goto("/projects/parts/models")
    page.get_by_role("link", name="Automatic acceptance").click()
    row = page.get_by_role("row").nth(1)
    expect(row).to_contain_text("By people")
    row.get_by_role("combobox").select_option("0.02")
    row.get_by_role("button", name="Begin").click()
    expect(row).to_contain_text("Waits for the stage")
    expect(row.get_by_role("combobox")).to_have_value("0.02")
    row.get_by_role("button", name="Stop").click()
    expect(row).to_contain_text("Stopped")
    assert said == [], "nothing was accepted, so there is nothing to confirm"
