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
PLAYWRIGHT_BROWSERS = (
    "chromium-*/chrome-linux*/chrome",
    "chromium-*/chrome-mac*/*.app/Contents/MacOS/*",
)


@lru_cache(maxsize=1)
def find_browser() -> str | None:
    """The Chromium to use: `$KIZU_CHROMIUM`, an installed one, or Playwright's download."""
    named = os.getenv("KIZU_CHROMIUM")
    if named:
        return named
    installed = next(filter(None, map(shutil.which, BROWSERS)), None)
    return installed or _playwright_browser()


def _playwright_browser() -> str | None:
    default = "~/Library/Caches" if sys.platform == "darwin" else "~/.cache"
    folder = Path(os.getenv("PLAYWRIGHT_BROWSERS_PATH") or f"{default}/ms-playwright").expanduser()
    found = [str(path) for pattern in PLAYWRIGHT_BROWSERS for path in folder.glob(pattern)]
    return max(found, default=None)


def has_japanese_font() -> bool:
    if shutil.which("fc-list") is None:
        return sys.platform == "darwin"
    listing = subprocess.run(
        ["fc-list", ":lang=ja", "family"], capture_output=True, text=True, check=False
    )
    return bool(listing.stdout.strip())


def install_browser() -> None:
    if _may_use_apt() and _apt_install("chromium"):
        return
    _run([sys.executable, "-m", "playwright", "install", "chromium"])


def install_japanese_font() -> None:
    if _may_use_apt():
        any(_apt_install("fontconfig", package) for package in FONT_PACKAGES)


def _may_use_apt() -> bool:
    """Root on Debian. Ubuntu's `chromium` package is only a pointer to another store."""
    release = Path("/etc/os-release")
    is_debian = release.exists() and "ID=debian" in release.read_text().splitlines()
    return os.geteuid() == 0 and is_debian and shutil.which("apt-get") is not None


@lru_cache(maxsize=1)
def _apt_update() -> bool:
    return _run(["apt-get", "update", "-qq"])


def _apt_install(*packages: str) -> bool:
    _apt_update()
    return _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages])


def _run(command: Sequence[str]) -> bool:
    """Run quietly; on failure show what the command said and carry on."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    result = subprocess.run(
        command, env=environment, capture_output=True, text=True, errors="replace", check=False
    )
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
