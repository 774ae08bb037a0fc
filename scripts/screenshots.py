"""A picture of every page in both languages, of a Kizu that runs: to look at, and for the docs.

    kizu up --data-dir demo-data
    python -m scripts.screenshots "$(kizu user link --data-dir demo-data)" [--out docs/images]

The newest project is shown. Photos are taken at 1280 × 800 and, where a page is longer, down to its
end; `--dark` takes the dark theme. They are WebP: a tenth of a PNG, and every clone carries them.
"""

import argparse
import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from PIL import Image as Pillow
from playwright.sync_api import BrowserContext, Page, ViewportSize, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from scripts.test_tools import find_browser

OUT = Path(__file__).parents[1] / "docs" / "images"
LANGUAGES = ("en", "ja")
COOKIE = "kizu_language"
SETTLED_MS = 800
SIZE = ViewportSize(width=1280, height=800)
WEBP_QUALITY = 82
HEIGHT = "document.documentElement.scrollHeight"
SCROLL_TO_LATE_PARTS = """document.querySelectorAll("[aria-busy=true][hx-trigger=revealed]")
    .forEach((part) => part.scrollIntoView())"""


def pages(page: Page, address: str) -> Iterator[tuple[str, str]]:
    """The name and path of every page; what has a number is the newest of its kind."""
    project = page.request.get(f"{address}/api/v1/projects").json()["items"][0]["slug"]
    api, at = f"{address}/api/v1/projects/{project}", f"/projects/{project}"
    yield from {
        "projects": "/projects",
        "new-project": "/projects/new",
        "guide": "/guide",
        "overview": at,
        "annotate": f"{at}/annotate",
        "review": f"{at}/review",
        "grid": f"{at}/grid",
        "images": f"{at}/images",
        "jobs": f"{at}/jobs",
        "models": f"{at}/models",
        "acceptance": f"{at}/models/acceptance",
        "kpis": f"{at}/kpis",
        "labels": f"{at}/labels",
        "exchange": f"{at}/exchange",
        "project-settings": f"{at}/settings",
        "members": "/settings/members",
        "account": "/settings/account",
        "tokens": "/settings/tokens",
        "audit": "/settings/audit",
    }.items()
    newest = {
        "image": (f"{api}/images", f"{at}/images/{{id}}"),
        "model": (f"{api}/models", f"{at}/models/{{number}}"),
        "job": (f"{api}/jobs", f"{at}/jobs/{{id}}"),
    }
    for name, (listing, path) in newest.items():
        found = page.request.get(listing).json()["items"]
        if found:
            yield name, path.format(**found[0])
        if name == "model" and len(found) > 1:
            chosen = ",".join(str(one["number"]) for one in found[1::-1])
            yield "compare", f"{at}/models/compare?versions={chosen}"


def sign_in(context: BrowserContext, link: str) -> Page:
    page = context.new_page()
    page.goto(link)
    page.locator("main button.primary").click()
    page.wait_for_url("**/projects")
    return page


def take_all(page: Page, address: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in list(pages(page, address)):
        page.goto(address + path)
        page.wait_for_timeout(SETTLED_MS)
        page.evaluate(SCROLL_TO_LATE_PARTS)
        page.wait_for_timeout(SETTLED_MS)
        # In a window as long as the page late photos load, and a bar at its foot covers none.
        page.set_viewport_size({**SIZE, "height": page.evaluate(HEIGHT)})
        page.wait_for_timeout(SETTLED_MS)
        picture = Pillow.open(io.BytesIO(page.screenshot()))
        page.set_viewport_size(SIZE)
        picture.convert("RGB").save(folder / f"{name}.webp", quality=WEBP_QUALITY, method=6)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.screenshots")
    parser.add_argument("link", help="as `kizu user link` prints it")
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR")
    parser.add_argument("--dark", action="store_true", help="the dark theme")
    args = parser.parse_args(argv)
    place = urlsplit(args.link)
    address = f"{place.scheme}://{place.netloc}"
    theme: Literal["dark", "light"] = "dark" if args.dark else "light"
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=find_browser(), args=["--no-sandbox"]
            )
            context = browser.new_context(viewport=SIZE, color_scheme=theme)
            page = sign_in(context, args.link)
            for language in LANGUAGES:
                context.add_cookies([{"name": COOKIE, "value": language, "url": address}])
                take_all(page, address, args.out / language)
    except PlaywrightError as error:
        parser.exit(2, f"{parser.prog}: {error.message.splitlines()[0]}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
