"""The KPI pages: which days they show, what a figure means and rests on, and how they print."""

import re
from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from sqlalchemy import select

from app.annotations.models import Annotation
from app.core.clock import now
from app.core.db import transaction
from app.identity.models import User
from app.images.models import Arm
from app.projects import service as projects
from tests.factories import make_images

pytestmark = pytest.mark.page
WORDS = {"en": ("From", "To", "Per", "Show"), "ja": ("開始日", "終了日", "単位", "表示")}


@pytest.fixture
def month(workplace):
    """Four weeks of work on two lines: per week and line two photos without and six with
    suggestions, of 10 and 4 seconds on L1 and of 20 and 16 on L2."""
    workplace.add_project("parts")
    with transaction(workplace.sessions) as session:
        project = projects.get_project(session, "parts")
        person = session.scalars(select(User)).one()
        for week in range(4):
            for line, without, having in (("L1", 10, 4), ("L2", 20, 16)):
                images = make_images(session, project, 8, line=line)
                for position, image in enumerate(images):
                    arm = Arm.CONTROL if position < 2 else Arm.ASSISTED
                    seconds = without if arm == Arm.CONTROL else having
                    session.add(
                        Annotation(
                            project_id=project.id,
                            image_id=image.id,
                            author_id=person.id,
                            created_at=now() - timedelta(days=7 * week, minutes=position),
                            is_complete=True,
                            finishes_image=True,
                            active_ms=1000 * seconds + 10 * position,
                            arm=arm,
                        )
                    )


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_period_is_chosen_and_kept(watched, workplace, language):
    workplace.add_project("parts")
    watched.sign_in()
    page = watched.page
    first, last, bucket, show = WORDS[language]
    form = page.locator("form.actions")
    page.goto("/projects/parts/kpis?from=2026-03-02&to=2026-03-08")
    expect(form.get_by_label(first)).to_have_value("2026-03-02")
    expect(form.get_by_label(last)).to_have_value("2026-03-08")
    expect(form.get_by_label(bucket)).to_have_value("week")
    form.get_by_label(bucket).select_option("month")
    expect(page).to_have_url(re.compile(r"kpis\?from=2026-03-02&to=2026-03-08&bucket=month$"))
    form.get_by_label(last).fill("2026-03-31")
    page.get_by_role("button", name=show, exact=True).click()
    expect(page).to_have_url(re.compile(r"kpis\?from=2026-03-02&to=2026-03-31&bucket=month$"))
    expect(form.get_by_label(bucket)).to_have_value("month")
    expect(page.get_by_role("link", name="CSV")).to_have_attribute(
        "href", re.compile(r"from=2026-03-02&to=2026-03-31&bucket=month$")
    )


def test_a_line_is_chosen_and_measured_against_itself(watched, month):
    watched.sign_in()
    page = watched.page
    page.goto("/projects/parts/kpis")
    rows = page.locator("#lines tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("L1")
    page.locator("form.actions").get_by_label("Line").select_option("L2")
    expect(page).to_have_url(re.compile(r"line=L2"))
    expect(page.locator("#finished-images")).to_have_text("32")
    expect(page.locator("#lines tbody tr")).to_have_count(1)
    expect(page.get_by_role("link", name="CSV")).to_have_attribute("href", re.compile("line=L2"))


def test_a_figure_opens_its_definition_and_its_rows(watched, month):
    watched.sign_in()
    page = watched.page
    page.goto("/projects/parts/kpis")
    opener = page.get_by_role("button", name="What “Labeling time saved” means")
    opener.focus()
    page.keyboard.press("Enter")
    definition = page.locator("#about-time_saved")
    expect(definition).to_be_visible()
    expect(definition).to_contain_text("Formula")
    assert [x for x in Axe().run(page).response["violations"] if x["impact"] == "critical"] == []
    page.keyboard.press("Escape")
    expect(definition).to_be_hidden()
    opener.click()
    definition.get_by_role("link", name="Show the rows behind it").click()
    expect(page).to_have_url(re.compile(r"/kpis/rows\?.*figure=time_saved"))
    page.locator("#rows tbody tr").last.scroll_into_view_if_needed()
    expect(page.locator("#rows tbody tr")).to_have_count(64)
    assert [x for x in Axe().run(page).response["violations"] if x["impact"] == "serious"] == []
    shown = page.locator("#rows tbody tr td:last-child").all_inner_texts()
    minutes = float(page.locator("#figure").inner_text().replace("minutes", ""))
    assert minutes > 3
    assert sum(float(cell) for cell in shown) / 60 == pytest.approx(minutes, abs=0.1)
    page.get_by_role("link", name="All KPIs").click()
    expect(page).to_have_url(re.compile(r"/kpis\?(?!.*figure)"))


@pytest.mark.parametrize("language", ["en", "ja"])
def test_every_figure_has_a_page_of_rows_even_of_nothing(watched, workplace, language):
    workplace.add_project("parts")
    watched.sign_in()
    page = watched.page
    page.goto("/projects/parts/kpis")
    expect(page.locator("[popover]").first).to_be_attached()
    addresses = page.locator("[popover] a").evaluate_all("all => all.map((one) => one.href)")
    assert len(addresses) >= 7
    for address in addresses:
        assert page.goto(address).status == 200
        expect(page.locator(".empty")).to_be_visible()


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_page_prints_on_two_sheets_without_what_only_screens_need(watched, month, language):
    watched.sign_in()
    page = watched.page
    page.emulate_media(color_scheme="dark")
    page.goto("/projects/parts/kpis")
    expect(page.locator(".series svg")).to_have_count(3)  # nobody answered a suggestion
    sheets = page.pdf(prefer_css_page_size=True)
    assert sheets.startswith(b"%PDF")
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", sheets)) <= 2
    page.emulate_media(media="print", color_scheme="dark")
    for hidden in (".bar", ".tabs", ".actions", ".about"):
        expect(page.locator(hidden).first).to_be_hidden()
    expect(page.locator(".print-only").first).to_be_visible()
    expect(page.locator("#course")).to_be_visible()
    ink = page.locator("h1").evaluate("one => getComputedStyle(one).color")
    assert ink == "rgb(28, 34, 38)"  # dark on white, whatever the screen's theme


def test_the_button_asks_the_browser_to_print(watched, month):
    watched.sign_in()
    page = watched.page
    page.add_init_script("window.print = () => { window.printed = true; }")
    page.goto("/projects/parts/kpis")
    page.get_by_role("button", name="Print / PDF").click()
    assert page.evaluate("window.printed") is True
