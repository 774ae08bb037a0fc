"""Finds, else installs, what page tests need: a Chromium and a Japanese font.

Run before the tests. Never fails by itself: page tests are skipped loudly where no browser can
be had, and fail where CI is set.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FONT_PACKAGES = ("fonts-ipafont-gothic", "fonts-noto-cjk")
PLAYWRIGHT_BROWSERS = "chromium-*/chrome-linux*/chrome"


@lru_cache(maxsize=1)
def find_browser() -> str | None:
    """The Chromium to use, which must start: `$KIZU_CHROMIUM`, else an installed one, else
    Playwright's download."""
    named = os.getenv("KIZU_CHROMIUM")
    candidates = [named] if named else [*map(shutil.which, BROWSERS), *_playwright_browsers()]
    return next((path for path in candidates if path and _starts(path)), None)


def _playwright_browsers() -> list[str]:
    folder = Path(os.getenv("PLAYWRIGHT_BROWSERS_PATH") or "~/.cache/ms-playwright").expanduser()
    return sorted(map(str, folder.glob(PLAYWRIGHT_BROWSERS)), reverse=True)


def _starts(path: str) -> bool:
    """Whether it is a browser here: Ubuntu's `chromium` is often only a pointer to a store, and
    a download lacks its libraries on a bare system."""
    return _run([path, "--version"])


def has_japanese_font() -> bool:
    if shutil.which("fc-list") is None:
        return False
    listing = subprocess.run(
        ["fc-list", ":lang=ja", "family"], capture_output=True, text=True, check=False
    )
    return bool(listing.stdout.strip())


def install_browser() -> None:
    if _may_use_apt() and _is_debian() and _apt_install("chromium"):
        return
    libraries = ["--with-deps"] if _may_use_apt() else []
    _run([sys.executable, "-m", "playwright", "install", *libraries, "chromium"])


def install_japanese_font() -> None:
    if _may_use_apt():
        any(_apt_install("fontconfig", package) for package in FONT_PACKAGES)


def _may_use_apt() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def _is_debian() -> bool:
    """Its package `chromium` is the browser; those of its children may point to another store."""
    release = Path("/etc/os-release")
    return release.exists() and "ID=debian" in release.read_text().splitlines()


@lru_cache(maxsize=1)
def _apt_update() -> bool:
    return _run(["apt-get", "update", "-qq"])


def _apt_install(*packages: str) -> bool:
    _apt_update()
    return _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages])


def _run(command: Sequence[str]) -> bool:
    """Run quietly; on failure show what the command said and carry on."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        result = subprocess.run(
            command, env=environment, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        _say(f"`{' '.join(command)}` failed: {error}")
        return False
    if result.returncode:
        _say(f"`{' '.join(command)}` failed:\n{(result.stdout + result.stderr)[-800:]}")
    return result.returncode == 0


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")


def main() -> None:
    if find_browser() is None:
        _say("No browser is installed: installing Chromium for the page tests.")
        install_browser()
        find_browser.cache_clear()
    if not has_japanese_font():
        _say("No Japanese font is installed: installing one for the page tests.")
        install_japanese_font()
    browser, font = find_browser(), has_japanese_font()
    _say(f"browser: {browser or 'NONE, page tests cannot run'}")
    _say(f"Japanese font: {'yes' if font else 'NONE, screenshots will show boxes'}")


if __name__ == "__main__":
    main()
