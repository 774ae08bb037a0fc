"""The page of imports and exports: a file goes in, another comes out."""

import io
import re
import zipfile

import pytest
from playwright.sync_api import FilePayload, expect

from tests.integration.exchange.conftest import a_pack, zipped

pytestmark = pytest.mark.page


def test_a_pack_goes_in_and_an_export_comes_out(watched, workplace, start_worker):
    start_worker("cpu")
    workplace.add_project("parts")
    watched.sign_in()
    page = watched.page
    page.goto("/projects/parts")
    page.get_by_role("link", name="Import / export").click()
    pack = FilePayload(name="pack.zip", mimeType="application/zip", buffer=zipped(a_pack()))
    page.locator("input[type=file]").set_input_files(pack)
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("3 photos new")).to_be_visible(timeout=120_000)

    page.locator("form[data-api$=exports] select[name=format]").select_option("pack")
    page.get_by_label("With the photos").check()
    page.get_by_role("button", name="Export", exact=True).click()
    link = page.get_by_role("link", name="parts-pack.zip")
    expect(link).to_be_visible(timeout=120_000)
    with page.expect_download() as download:
        link.click()
    assert download.value.suggested_filename == "parts-pack.zip"
    content = io.BytesIO(download.value.path().read_bytes())
    assert "images/both.png" in zipfile.ZipFile(content).namelist()


def test_a_file_that_cannot_be_read_says_so_on_the_page(watched, workplace, start_worker):
    start_worker("cpu")
    workplace.add_project("parts")
    watched.sign_in()
    page = watched.page
    page.goto("/projects/parts/exchange")
    odd = FilePayload(name="odd.csv", mimeType="text/csv", buffer=b"a,b\n1,2\n")
    page.locator("input[type=file]").set_input_files(odd)
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text(re.compile("odd.csv is a table of no format"))).to_be_visible(
        timeout=120_000
    )
