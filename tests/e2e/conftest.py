"""Fixtures of page tests: a workplace with an inspector, and a browser that is being watched."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Route,
    ViewportSize,
    expect,
)
from sqlalchemy import Engine

from app.core.config import Settings
from tests.e2e.workplace import EMAIL, PASSWORD, Workplace

# As long as every other wait of Playwright's: a page is slow where workers share its two cores.
expect.set_options(timeout=30_000)

LOCALES = {"ja": "ja-JP", "en": "en-GB"}


@dataclass
class Watched:
    """A browser window, and everything that must not happen in it."""

    page: Page
    host: str
    foreign: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def note_request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme in {"http", "https", "ws", "wss"} and address.netloc != self.host:
            self.foreign.append(request.url)

    def note_message(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "status of 4" not in message.text:
            self.complaints.append(message.text)

    def ensure_quiet(self) -> None:
        assert self.foreign == []
        assert self.complaints == []

    def sign_in(self, email: str = EMAIL) -> None:
        self.page.goto("/sign-in")
        self.page.get_by_role("textbox").first.fill(email)
        self.page.locator("input[type=password]").fill(PASSWORD)
        self.page.keyboard.press("Enter")
        self.page.wait_for_url("**/projects")

    def open_without(self, file: str, path: str) -> Callable[[], None]:
        """Open a page whose `file`, a pattern, is on its way until what is returned is called."""
        held: list[Route] = []
        self.page.route(file, lambda route: held.append(route))
        with self.page.expect_request(file):
            self.page.goto(path, wait_until="commit")
        return lambda: held[0].continue_()


@pytest.fixture
def workplace(settings: Settings, engine: Engine, language: str) -> Workplace:
    return Workplace.open(settings, engine, locale=language)


@pytest.fixture
def language() -> str:
    """Of the inspector and the browser; a test that needs another parametrises it."""
    return "en"


@pytest.fixture
def context(
    browser: Browser, live_url: str, workplace: Workplace, language: str
) -> Iterator[BrowserContext]:
    size = ViewportSize(width=1280, height=800)
    with browser.new_context(base_url=live_url, locale=LOCALES[language], viewport=size) as context:
        yield context


@pytest.fixture
def watched(context: BrowserContext, live_url: str) -> Iterator[Watched]:
    """The window; at the end it must have asked nobody else and met no error, CSP's included."""
    page = context.new_page()
    watched = Watched(page, urlsplit(live_url).netloc)
    page.on("request", watched.note_request)
    page.on("console", watched.note_message)
    page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    yield watched
    watched.ensure_quiet()
