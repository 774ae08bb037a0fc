"""The main job through the pages: sign in, upload, annotate, train, review by keyboard, KPIs."""

import re

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.e2e.workplace import photo

pytestmark = pytest.mark.page
WORDS = {
    "ja": {
        "new": "新しいプロジェクト",
        "scratch": "傷",
        "train": "学習を始める",
        "kpis": "ラベル付けの時間と品質",
    },
    "en": {
        "new": "New project",
        "scratch": "Scratch",
        "train": "Start a training",
        "kpis": "Labeling time and quality",
    },
}
PATIENCE_MS = 180_000


@pytest.fixture
def workers(settings, monkeypatch, start_worker):
    """Those that read photos and train; a training is short. Nobody predicts: what a model of
    seconds would suggest is left to chance."""
    monkeypatch.setenv("KIZU_TRAIN_CPU_SECONDS", "2")
    for queue in ("cpu", "train"):
        start_worker(queue)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("language", ["ja", "en"])
def test_the_whole_journey_by_keyboard(watched, workplace, workers, language):
    page, words = watched.page, WORDS[language]
    watched.sign_in()
    expect(page.locator("html")).to_have_attribute("lang", language)
    create_project(page, words["new"])
    workplace.leave_nothing_to_chance("line-2")
    upload(page, [photo(number) for number in range(4)])
    wait_until_read(page, 4)

    page.goto("/projects/line-2/annotate")
    chip = page.locator(".chip[data-label=scratch]")
    expect(chip).to_contain_text(words["scratch"])
    expect(page.locator("#photo")).to_be_visible()
    first = page.locator("#file-name").inner_text()
    page.keyboard.press("1")
    expect(chip).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Enter")
    expect(page.locator("#file-name")).not_to_have_text(first)
    expect(page.locator("#desk")).to_have_attribute("data-unsent", "0")
    assert workplace.truth("line-2") == {first: {"scratch": "present", "dent": "absent"}}

    train(page, words["train"])
    workplace.drop_leases()
    assert workplace.suggest("line-2") == 3
    page.goto("/projects/line-2/review")
    expect(chip).to_contain_text("93%")
    expect(chip).to_have_attribute("aria-pressed", "true")
    second = page.locator("#file-name").inner_text()
    page.keyboard.press("Enter")
    expect(page.locator("#file-name")).not_to_have_text(second)
    third = page.locator("#file-name").inner_text()
    page.keyboard.press("x")
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(page.locator("#file-name")).not_to_have_text(third)
    page.keyboard.press("u")
    expect(page.locator("#file-name")).to_have_text(third)
    page.keyboard.press("x")
    page.keyboard.press("Enter")
    expect(page.locator("#file-name")).not_to_have_text(third)
    page.keyboard.press("s")
    expect(page.locator("#stage-message")).to_be_visible()
    expect(page.locator("#desk")).to_have_attribute("data-unsent", "0")
    truth = workplace.truth("line-2")
    assert truth[second] == {"scratch": "present", "dent": "absent"}
    assert truth[third] == {"scratch": "absent", "dent": "absent"}
    assert len(truth) == 3

    page.goto("/projects/line-2/kpis")
    expect(page.get_by_role("heading", level=1)).to_have_text(words["kpis"])
    expect(page.locator("#finished-images")).to_have_text("3")
    expect(page.locator("#acceptance-rate")).to_have_text("50%")


def create_project(page: Page, title: str) -> None:
    page.get_by_role("link", name=title).first.click()
    page.locator("[name=name]").fill("Line 2")
    expect(page.locator("[name=slug]")).to_have_value("line-2")
    for line, (ja, en) in enumerate([("傷", "Scratch"), ("へこみ", "Dent")]):
        page.locator("[data-part=ja]").nth(line).fill(ja)
        page.locator("[data-part=en]").nth(line).fill(en)
    page.locator("#new-project .primary").click()
    page.wait_for_url("**/projects/line-2")
    expect(page.locator(".step.is-next")).to_have_count(1)


def upload(page: Page, files: list[FilePayload]) -> None:
    """Four photos, one of them again, and a text that calls itself a photo."""
    page.goto("/projects/line-2/images")
    text = FilePayload(name="notes.jpg", mimeType="image/jpeg", buffer=b"not a photo")
    page.locator("#files").set_input_files([*files, text, files[0]])
    results = page.locator("#upload-results")
    expect(results.locator("[data-status=created]")).to_have_count(len(files))
    expect(results.locator("[data-status=already_there]")).to_have_count(1)
    expect(results.locator("[data-status=rejected]")).to_contain_text("notes.jpg")
    page.locator("#upload-done").click()
    expect(page.locator(".photo")).to_have_count(len(files))
    expect(page).to_have_url(re.compile("/images$"))


def wait_until_read(page: Page, count: int) -> None:
    """Until the worker has made every photo ready."""
    ready = page.locator(".photo img")
    for _ in range(PATIENCE_MS // 500):
        page.goto("/projects/line-2/images?state=ready")
        if ready.count() == count:
            return
        page.wait_for_timeout(500)
    raise AssertionError(f"{ready.count()} of {count} photos are ready")


def train(page: Page, start: str) -> None:
    """Press the button and watch the job until it has left a live version."""
    page.goto("/projects/line-2/jobs")
    page.get_by_role("button", name=start, exact=True).click()
    page.wait_for_url("**/jobs/*")
    ended = page.locator(".page-head .tag.good")
    expect(ended).to_be_visible(timeout=PATIENCE_MS)
    page.goto("/projects/line-2/models/1")
    expect(page.locator(".page-head .tag.good")).to_be_visible()
