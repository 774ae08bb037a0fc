"""Photos found by what they show, bursts that fold, and what a label's descriptions find."""

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.workplace import photo

pytestmark = pytest.mark.page
PHOTOS = (0, 2, 5, 7)
# The same four seconds later, with a speck more: another file that looks the same.
AGAIN = (2, 5)


@pytest.fixture
def images(watched, workplace):
    """The page of images with four photos, two of them taken twice."""
    workplace.add_project("parts")
    watched.sign_in()
    page = watched.page
    page.goto("/projects/parts/images")
    twice = [photo(number, specks=1) for number in AGAIN]
    page.locator("#files").set_input_files([*(photo(number) for number in PHOTOS), *twice])
    expect(page.locator("#upload-done")).to_be_visible()
    workplace.ingest()
    page.goto("/projects/parts/images")
    return page


@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_search_waits_for_a_worker_and_stays_in_the_address(images, workplace, language):
    images.locator("#search-text").fill("a scratch")
    images.keyboard.press("Enter")
    results = images.locator("#results")
    expect(results.get_by_role("progressbar")).to_be_visible()
    expect(images).to_have_url(re.compile("text=a"))
    workplace.embed("parts")
    expect(images.locator(".photo")).to_have_count(len(PHOTOS) + len(AGAIN))
    expect(results.locator("q").first).to_have_text("a scratch")
    images.reload()
    expect(images.locator("#search-text")).to_have_value("a scratch")
    expect(images.locator(".photo")).to_have_count(len(PHOTOS) + len(AGAIN))

    images.locator("#search-text").fill("青空")
    images.keyboard.press("Enter")
    expect(results.get_by_role("status")).to_be_visible()
    expect(images.locator(".photo")).to_have_count(0)
    images.locator("#search-text").fill("")
    images.keyboard.press("Enter")
    expect(images.locator(".photo")).to_have_count(len(PHOTOS))


def test_nobody_waits_for_ever(images):
    images.goto("/projects/parts/images?text=rust&waited=39")
    expect(images.locator("#results")).to_contain_text("Nobody answers")
    images.get_by_role("link", name="Try again").click()
    expect(images.locator("#results").get_by_role("progressbar")).to_be_visible()


def test_similar_photos_lead_to_more_of_them(images, workplace):
    workplace.embed("parts")
    images.locator(".photo .frame").first.click()
    similar = images.locator("#similar .strip li")
    expect(similar).to_have_count(len(PHOTOS) + len(AGAIN) - 1)
    images.get_by_role("link", name="More like this").click()
    expect(images).to_have_url(re.compile("similar_to="))
    expect(images.locator(".photo")).to_have_count(len(PHOTOS) + len(AGAIN) - 1)


def test_bursts_fold_and_unfold(images):
    expect(images.locator(".photo")).to_have_count(len(PHOTOS))
    counts = images.locator(".burst-count")
    expect(counts).to_have_text(["+1", "+1"])
    counts.first.click()
    expect(images.locator(".photo")).to_have_count(2)
    images.go_back()
    images.locator("select[name=fold]").select_option("false")
    expect(images.locator(".photo")).to_have_count(len(PHOTOS) + len(AGAIN))
    expect(images).to_have_url(re.compile("fold=false"))


def test_descriptions_show_what_they_find_while_they_are_written(images, workplace):
    workplace.embed("parts")
    images.goto("/projects/parts/labels")
    images.locator("details.label-row summary").first.click()
    preview = images.locator("details[open] .prompt-preview")
    expect(preview).to_contain_text("Without descriptions")
    images.locator("details[open] textarea").fill("a photo of a scratch\na dark line")
    expect(preview).to_contain_text("Searching")
    workplace.embed("parts")
    expect(preview.locator("li")).to_have_count(len(PHOTOS) + len(AGAIN))
    images.locator("details[open] textarea").fill("")
    expect(preview).to_contain_text("Without descriptions")
