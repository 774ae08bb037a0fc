"""The KPI page: which days it shows, and in which steps."""

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.page
WORDS = {"en": ("From", "To", "Per", "Show"), "ja": ("開始日", "終了日", "単位", "表示")}


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_period_is_chosen_and_kept(watched, workplace, language):
    workplace.add_project("parts")
    watched.sign_in()
    page = watched.page
    first, last, bucket, show = WORDS[language]
    page.goto("/projects/parts/kpis?from=2026-03-02&to=2026-03-08")
    expect(page.get_by_label(first)).to_have_value("2026-03-02")
    expect(page.get_by_label(last)).to_have_value("2026-03-08")
    page.get_by_label(bucket).select_option("week")
    expect(page).to_have_url(re.compile(r"kpis\?from=2026-03-02&to=2026-03-08&bucket=week$"))
    page.get_by_label(last).fill("2026-03-31")
    page.get_by_role("button", name=show, exact=True).click()
    expect(page).to_have_url(re.compile(r"kpis\?from=2026-03-02&to=2026-03-31&bucket=week$"))
    expect(page.get_by_label(bucket)).to_have_value("week")
    expect(page.get_by_role("link", name="CSV")).to_have_attribute(
        "href", re.compile(r"from=2026-03-02&to=2026-03-31&bucket=week$")
    )
