"""Doors and signs: who gets in, what language it speaks, what is shown when something is wrong."""

import hashlib
import re

import httpx
import pytest
from playwright.sync_api import expect

from app.web.templating import STATIC

pytestmark = pytest.mark.page


def test_strangers_are_sent_to_sign_in_and_back(watched, workplace):
    workplace.add_project("parts")
    page = watched.page
    page.goto("/projects/parts/kpis")
    expect(page).to_have_url(re.compile("/sign-in"))
    page.locator("input[type=email]").fill("inspector@example.com")
    page.locator("input[type=password]").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("do not match")
    page.locator("input[type=password]").fill("correct horse battery staple")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/projects/parts/kpis$"))


def test_the_language_is_switched_and_stays(watched, workplace):
    page = watched.page
    page.goto("/sign-in")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.get_by_role("button", name="日本語").click()
    expect(page.locator("html")).to_have_attribute("lang", "ja")
    watched.sign_in()
    expect(page.get_by_role("heading", level=1)).to_have_text("プロジェクト")


def test_browsers_get_error_pages_and_programs_get_problems(live_url, workplace):
    page = httpx.get(f"{live_url}/nowhere", headers={"accept": "text/html"})
    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    problem = httpx.get(f"{live_url}/api/v1/nowhere", headers={"accept": "text/html"})
    assert problem.headers["content-type"] == "application/problem+json"


def test_a_forged_destination_stays_on_this_site(live_url, workplace):
    form = {
        "email": "inspector@example.com",
        "password": "correct horse battery staple",
        "destination": "//elsewhere.example/",
    }
    answer = httpx.post(f"{live_url}/sign-in", data=form)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/projects"


def test_a_name_typed_before_the_script_came_gives_an_address_too(watched, workplace):
    watched.sign_in()
    page = watched.page
    let_script_come = watched.open_without("**/new-project.js*", "/projects/new")
    page.locator("[name=name]").fill("Line 2")
    let_script_come()
    expect(page.locator("[name=slug]")).to_have_value("line-2")


def test_a_filter_chosen_before_the_script_came_is_applied(watched, workplace):
    workplace.add_project("parts")
    watched.sign_in()
    page = watched.page
    let_script_come = watched.open_without("**/htmx.min.js*", "/projects/parts/images")
    page.get_by_label("State").select_option("rejected")
    let_script_come()
    expect(page).to_have_url(re.compile("state=rejected"))


def test_what_is_sent_before_the_script_came_waits_for_it(watched, workplace):
    watched.sign_in()
    page = watched.page
    let_script_come = watched.open_without("**/forms.js*", "/settings/account")
    password = page.locator("#password")
    password.get_by_label("Current password").fill("correct horse battery staple")
    password.locator("[name=password]").fill("another horse, another battery")
    password.get_by_role("button").click(no_wait_after=True)
    let_script_come()
    expect(page).to_have_url(re.compile("/settings/account[?]saved=1$"))


def test_every_page_of_an_empty_project_opens(watched, workplace):
    workplace.add_project("parts")
    watched.sign_in()
    for path in ("", "/images", "/annotate", "/review", "/jobs", "/models", "/kpis", "/labels",
                 "/settings"):  # fmt: skip
        answer = watched.page.goto(f"/projects/parts{path}")
        assert answer.status == 200, path
        expect(watched.page.get_by_role("heading", level=1)).to_have_count(1)


def test_vendored_files_are_those_that_were_recorded():
    readme = (STATIC / "vendor" / "README.md").read_text()
    for name, recorded in re.findall(r"^\| (\S+\.js) \|.*?\| ([0-9a-f]{64}) \|", readme, re.M):
        content = (STATIC / "vendor" / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == recorded
