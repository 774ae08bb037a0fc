"""Settings: people and their links, tokens, a project's settings, the order of labels, the log."""

import re

import httpx
import pytest
from playwright.sync_api import Page, expect

from app.core.db import transaction
from app.identity import service as identity
from app.projects import service as projects

pytestmark = pytest.mark.page


@pytest.fixture
def page(watched, workplace) -> Page:
    """An administrator, signed in, and a project."""
    workplace.add_project("parts")
    workplace.make_administrator()
    watched.sign_in()
    page = watched.page
    page.on("dialog", lambda dialog: dialog.accept())
    return page


def settings_of(workplace, slug: str = "parts"):
    with transaction(workplace.sessions) as session:
        return projects.get_project(session, slug)


def order_of(workplace) -> list[str]:
    with transaction(workplace.sessions) as session:
        project = projects.get_project(session, "parts")
        return [label.key for label in projects.list_labels(session, project.id)]


class TestMembers:
    def test_somebody_new_enters_by_a_link(self, page, browser, live_url):
        page.goto("/projects")
        page.get_by_role("link", name="Settings").click()
        expect(page).to_have_url(re.compile("/settings/members$"))
        form = page.locator("#new-member")
        form.get_by_label("E-mail").fill("hana@example.com")
        form.get_by_label("Name").fill("Hana")
        form.get_by_label("Role").select_option("reviewer")
        form.get_by_role("button", name="Add a person").click()
        row = page.locator("[data-user='hana@example.com']")
        expect(row).to_have_attribute("open", "")
        row.get_by_role("button", name="Make a sign-in link").click()
        link = page.locator("#secret input")
        expect(link).to_have_value(re.compile(rf"^{live_url}/sign-in/kizu_link_"))
        with browser.new_context(locale="en-GB") as hers:
            window = hers.new_page()
            window.goto(link.input_value())
            window.locator("main button.primary").click()
            window.wait_for_url("**/projects")
            expect(window.locator(".who")).to_have_text("Hana")
            assert window.goto(f"{live_url}/settings/members").status == 403
            assert window.goto(f"{live_url}/settings/account").status == 200

    def test_the_link_is_copied_and_seen_once(self, page, context):
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.goto("/settings/members")
        page.locator("summary").first.click()
        page.get_by_role("button", name="Make a sign-in link").click()
        link = page.locator("#secret input")
        expect(link).to_have_value(re.compile("kizu_link_"))
        secret = link.input_value()
        page.keyboard.press("Escape")
        expect(page.locator("#secret")).to_be_visible()
        page.get_by_role("button", name="Copy", exact=True).click()
        expect(page.locator("#secret [role=status]")).to_have_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()") == secret
        with page.expect_event("domcontentloaded"):
            page.get_by_role("button", name="I have kept it").click()
        expect(page.locator("#secret")).to_be_hidden()
        assert secret not in page.content()

    def test_a_role_is_changed_and_a_person_locked_out(self, page, workplace, live_url):
        with transaction(workplace.sessions) as session:
            user = identity.create_user(session, email="ken@example.com", role="viewer")
            _, token = identity.create_token(session, user_id=user.id, name="tests")
        page.goto("/settings/members")
        row = page.locator("[data-user='ken@example.com']")
        row.locator("summary").click()
        row.get_by_label("Role").select_option("engineer")
        row.get_by_role("button", name="Save").click()
        expect(row.locator("summary")).to_contain_text("Engineer")
        row.locator("summary").click()
        row.get_by_role("button", name="Lock out").click()
        expect(row.locator("summary")).to_contain_text("Locked out")
        headers = {"authorization": f"Bearer {token}"}
        assert httpx.get(f"{live_url}/api/v1/me", headers=headers).status_code == 401
        row.locator("summary").click()
        row.get_by_role("button", name="Let in again").click()
        expect(row.locator("summary")).not_to_contain_text("Locked out")
        assert httpx.get(f"{live_url}/api/v1/me", headers=headers).status_code == 200

    def test_the_last_administrator_stays_and_reads_why(self, page):
        page.goto("/settings/members")
        page.locator("summary").first.click()
        page.get_by_label("Role").first.select_option("viewer")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("alert").first).to_contain_text("last administrator")
        expect(page.get_by_label("Role").first).to_have_value("viewer")


class TestAccount:
    def test_name_and_password_are_changed(self, page):
        page.goto("/settings/account")
        page.locator("#me").get_by_label("Name").fill("Hana Sato")
        page.locator("#me").get_by_role("button", name="Save").click()
        expect(page.get_by_role("status")).to_have_text("Saved")
        expect(page.locator(".who")).to_have_text("Hana Sato")
        form = page.locator("#password")
        form.get_by_label("Current password").fill("not it at all")
        form.get_by_label("New password").fill("  spaces belong to it ")
        form.get_by_role("button").click()
        expect(form.get_by_role("alert")).to_have_text("The current password is not right.")
        form.get_by_label("Current password").fill("correct horse battery staple")
        form.get_by_role("button").click()
        expect(form.get_by_label("New password")).to_have_value("")
        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("textbox").first.fill("inspector@example.com")
        page.locator("input[type=password]").fill("  spaces belong to it ")
        page.keyboard.press("Enter")
        page.wait_for_url("**/projects")


class TestTokens:
    def test_a_token_works_until_it_is_revoked(self, page, live_url):
        page.goto("/settings/tokens")
        form = page.locator("#new-token")
        form.get_by_label("What it is for").fill("Camera")
        form.get_by_label("It may").select_option("read review")
        form.get_by_role("button").click()
        field = page.locator("#secret input")
        expect(field).to_have_value(re.compile("^kizu_"))
        secret = field.input_value()
        headers = {"authorization": f"Bearer {secret}"}
        told = httpx.get(f"{live_url}/api/v1/me", headers=headers).json()
        assert told["permissions"] == ["read", "review"]
        page.get_by_role("button", name="I have kept it").click()
        row = page.locator("#tokens tbody tr")
        expect(row).to_contain_text("Camera")
        expect(row).to_contain_text("read, annotate and review")
        expect(row).not_to_contain_text("for ever")
        assert secret not in page.content()
        row.get_by_role("button", name="Revoke").click()
        expect(row).to_contain_text("Revoked")
        assert httpx.get(f"{live_url}/api/v1/me", headers=headers).status_code == 401

    def test_without_a_date_it_is_for_ever(self, page):
        page.goto("/settings/tokens")
        form = page.locator("#new-token")
        form.get_by_label("What it is for").fill("Export")
        form.get_by_label("Valid until").fill("")
        form.get_by_role("button").click()
        page.get_by_role("button", name="I have kept it").click()
        expect(page.locator("#tokens tbody tr")).to_contain_text("for ever")


class TestProjectSettings:
    def test_they_are_saved_as_people_say_them(self, page, workplace):
        page.goto("/projects/parts")
        page.locator(".tabs").get_by_role("link", name="Project settings").click()
        page.get_by_label("Name", exact=True).fill("Parts of line 3")
        page.get_by_text("People label every photo themselves.").click()
        page.get_by_label("Share without suggestions (%)").fill("12.5")
        page.get_by_label("Margin of the gate (points of AP)").fill("7")
        page.get_by_label("Cost of an hour of work").fill("2800")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("status")).to_have_text("Saved")
        expect(page.get_by_label("Share without suggestions (%)")).to_have_value("12.5")
        project = settings_of(workplace)
        assert (project.name, project.stage) == ("Parts of line 3", "manual")
        assert (project.control_rate, project.gate_margin) == (0.125, 0.07)
        assert (project.hourly_cost, project.audit_rate) == (2800, 0.05)

    def test_of_two_people_neither_loses_anything(self, page, workplace):
        page.goto("/projects/parts/settings")
        name = page.get_by_label("Name", exact=True)
        name.fill("Mine")
        page.get_by_label("Description").fill("Typed for a long time")
        with transaction(workplace.sessions) as session:
            project = projects.get_project(session, "parts")
            theirs = {"name": "Theirs", "stage": "auto", "audit_rate": 0.25}
            projects.edit_project(session, project, theirs, actor_id=None)
        page.get_by_role("button", name="Save").click()
        alert = page.locator("#project-settings [role=alert]")
        expect(alert).to_contain_text("Somebody else saved this")
        expect(alert).to_contain_text("Name: saved meanwhile “Theirs”, here “Mine”")
        expect(alert).to_contain_text("Stage: now “Automatic”")
        expect(alert).to_contain_text("Share checked blindly (%): now “25”")
        assert settings_of(workplace).name == "Theirs"
        expect(name).to_have_value("Mine")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("status")).to_have_text("Saved")
        project = settings_of(workplace)
        assert (project.name, project.description) == ("Mine", "Typed for a long time")
        assert (project.stage, project.audit_rate) == ("auto", 0.25)

    def test_what_cannot_be_is_refused_and_stays_typed(self, page, workplace):
        page.goto("/projects/parts/settings")
        page.get_by_label("Time zone").fill("Mars/Olympus")
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#project-settings [role=alert]")).to_contain_text("Mars/Olympus")
        expect(page.get_by_label("Time zone")).to_have_value("Mars/Olympus")
        assert settings_of(workplace).time_zone == "Asia/Tokyo"

    def test_a_project_is_deleted_by_typing_its_name(self, page, live_url):
        page.goto("/projects/parts/settings")
        typed = page.locator("#delete-project input")
        typed.fill("part")
        page.get_by_role("button", name="Delete the project").click()
        expect(page).to_have_url(re.compile("/settings$"))
        assert page.goto("/projects/parts/settings").status == 200
        typed.fill("parts")
        page.get_by_role("button", name="Delete the project").click()
        page.wait_for_url("**/projects")
        assert page.goto("/projects/parts").status == 404


class TestLabels:
    def test_they_are_moved_by_keyboard_and_edited_afterwards(self, page, workplace):
        page.goto("/projects/parts/labels")
        page.get_by_role("button", name="Move Scratch down").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#order-said")).to_have_text("Scratch is now number 2.")
        assert order_of(workplace) == ["dent", "scratch"]
        expect(page.get_by_role("button", name="Move Scratch up")).to_be_focused()
        expect(page.get_by_role("button", name="Move Scratch down")).to_be_disabled()
        row = page.locator("[data-key=scratch]")
        expect(row.locator("[data-digit]")).to_have_text("2")
        row.locator("summary").click()
        row.get_by_label("English name").fill("Scratches")
        row.get_by_role("button", name="Save").click()
        expect(row.locator("summary")).to_contain_text("Scratches")
        page.get_by_role("button", name="Move Scratches up").click()
        expect(page.locator("#order-said")).to_have_text("Scratches is now number 1.")
        assert order_of(workplace) == ["scratch", "dent"]

    def test_they_are_dragged(self, page, workplace):
        page.goto("/projects/parts/labels")
        handle = page.locator("[data-key=dent] [data-handle]").bounding_box()
        first = page.locator("[data-key=scratch]").bounding_box()
        page.mouse.move(handle["x"] + 5, handle["y"] + handle["height"] / 2)
        page.mouse.down()
        page.mouse.move(handle["x"] + 5, first["y"] + 3, steps=5)
        page.mouse.up()
        expect(page.locator("#order-said")).to_have_text("Dent is now number 1.")
        assert order_of(workplace) == ["dent", "scratch"]
        page.reload()
        expect(page.locator("#label-order > li").first).to_have_attribute("data-key", "dent")

    def test_an_order_that_somebody_else_changed_is_not_overwritten(self, page, workplace):
        page.goto("/projects/parts/labels")
        with transaction(workplace.sessions) as session:
            project = projects.get_project(session, "parts")
            projects.order_labels(session, project, ["dent", "scratch"], actor_id=None)
        page.get_by_role("button", name="Move Scratch down").click()
        expect(page.locator("#order-problem")).to_contain_text("Load the page again")

    def test_an_archived_label_comes_back(self, page, workplace):
        page.goto("/projects/parts/labels")
        row = page.locator("[data-key=dent]")
        row.locator("summary").click()
        row.get_by_role("button", name="Archive").click()
        expect(page.get_by_role("button", name="Bring back")).to_be_visible()
        assert order_of(workplace) == ["scratch"]
        page.get_by_role("button", name="Bring back").click()
        expect(page.locator("[data-key=dent]")).to_be_visible()
        assert order_of(workplace) == ["scratch", "dent"]


class TestAuditLog:
    def test_it_is_filtered_checked_and_taken_along(self, page, workplace):
        with transaction(workplace.sessions) as session:
            project = projects.get_project(session, "parts")
            projects.edit_project(session, project, {"currency": "EUR"}, actor_id=None)
        page.goto("/projects/parts/settings")
        page.get_by_role("link", name="Audit log of this project").click()
        expect(page.locator("#events")).to_contain_text("JPY → EUR")
        page.get_by_label("What was done").select_option("project.created")
        expect(page).to_have_url(re.compile(r"project=parts&.*action=project\.created"))
        expect(page.locator("#events tbody tr")).to_have_count(1)
        expect(page.locator("#events tbody tr")).to_contain_text("Inspector")
        with page.expect_download() as download:
            page.get_by_role("link", name="CSV").click()
        lines = download.value.path().read_text().splitlines()
        assert len(lines) == 2
        assert "project.created" in lines[1]
        page.get_by_role("button", name="Check that it is whole").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#chain")).to_contain_text("The audit log is whole")
