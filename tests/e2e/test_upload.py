"""Uploads of whole folders: nothing is sent twice or lost, and every file has its result."""

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.e2e.workplace import photo

pytestmark = pytest.mark.page
BATCH, LANES = 20, 3
SENDING = re.compile(r"/api/v1/projects/parts/images$")


@pytest.fixture
def upload(watched, workplace) -> Page:
    """The page of a project that has no photo yet."""
    workplace.add_project("parts")
    watched.sign_in()
    watched.page.goto("/projects/parts/images")
    return watched.page


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[int], Path]:
    """A function that makes a folder of that many photos, in two folders of their own."""

    def make(count: int) -> Path:
        for number in range(count):
            place = tmp_path / "lot 7" / ("top" if number % 2 else "side")
            place.mkdir(parents=True, exist_ok=True)
            sample = photo(number)
            (place / sample["name"]).write_bytes(sample["buffer"])
        return tmp_path / "lot 7"

    return make


class Hindrance:
    """Stops what is sent until it is let go."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.stopped: list[Route] = []
        self._is_over = False
        page.route(SENDING, self._stop)

    def _stop(self, route: Route) -> None:
        if self._is_over:
            route.continue_()
        else:
            self.stopped.append(route)

    def wait_for(self, count: int) -> None:
        while len(self.stopped) < count:
            self._page.wait_for_timeout(50)

    def end(self) -> None:
        self._is_over = True
        for route in self.stopped:
            route.continue_()


def photos_sent(requests: list[Request]) -> int:
    """How many photos left the browser."""
    bodies = [r.post_data_buffer or b"" for r in requests if SENDING.search(r.url)]
    return sum(body.count(b'name="files"') for body in bodies)


def results(page: Page, status: str):
    return page.locator(f"#upload-results [data-status={status}]")


def tally(page: Page, status: str):
    return page.locator(f"[data-tally={status}] strong")


def expect_finished(page: Page) -> None:
    expect(page.locator("#upload-state")).to_have_text("Finished")


def test_a_folder_is_sent_once_however_often_it_is_chosen(upload, folder):
    place = folder(5)
    (place / "Thumbs.db").write_bytes(b"of Windows")
    (place / "top" / "notes.jpg").write_bytes(b"no photo")
    upload.locator("#folder").set_input_files(place)
    expect_finished(upload)
    expect(results(upload, "created")).to_have_count(5)
    expect(results(upload, "rejected")).to_have_count(1)
    expect(results(upload, "rejected")).to_contain_text("lot 7/top/notes.jpg")
    expect(results(upload, "rejected")).to_contain_text("none of JPEG, PNG, TIFF, BMP and WebP")
    expect(upload.locator("#upload-count")).to_have_text("6 of 6")

    upload.reload()
    upload.locator("#open-upload").click()
    requests: list[Request] = []
    upload.on("request", lambda request: requests.append(request))
    (place / "top" / "notes.jpg").unlink()
    upload.locator("#folder").set_input_files(place)
    expect_finished(upload)
    expect(results(upload, "already_there")).to_have_count(5)
    assert photos_sent(requests) == 0


def test_a_dropped_folder_is_read_to_its_depths(upload, folder):
    place = folder(6)
    session = upload.context.new_cdp_session(upload)
    box = upload.locator("h1").bounding_box()  # the whole page takes what is dropped
    data = {"items": [], "files": [str(place)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        event = {"type": kind, "x": box["x"] + 5, "y": box["y"] + 5, "data": data}
        session.send("Input.dispatchDragEvent", event)
    expect_finished(upload)
    expect(results(upload, "created")).to_have_count(6)
    expect(results(upload, "created").first).to_contain_text("lot 7/")


def test_a_pause_lets_arrive_what_is_on_its_way_and_nothing_else(upload, folder):
    hindrance = Hindrance(upload)
    count = BATCH * LANES + 5
    upload.locator("#folder").set_input_files(folder(count))
    hindrance.wait_for(LANES)
    upload.locator("#upload-pause").click()
    expect(upload.locator("#upload-state")).to_contain_text("Pausing")
    hindrance.end()
    expect(upload.locator("#upload-state")).to_have_text("Paused")
    expect(tally(upload, "created")).to_have_text(str(BATCH * LANES))
    expect(upload.locator("#upload-done")).to_be_hidden()
    upload.locator("#upload-resume").click()
    expect_finished(upload)
    expect(tally(upload, "created")).to_have_text(str(count))


def test_a_lost_network_only_delays(upload, folder, watched):
    hindrance = Hindrance(upload)
    upload.locator("#folder").set_input_files(folder(30))
    hindrance.wait_for(2)
    upload.context.set_offline(True)
    for route in hindrance.stopped:
        route.abort("internetdisconnected")
    hindrance.stopped.clear()
    expect(upload.locator("#upload-state")).to_contain_text("No network")
    expect(upload.locator("#upload-retry-in")).to_contain_text("next try in")
    expect(results(upload, "failed")).to_have_count(0)
    hindrance.end()
    upload.context.set_offline(False)
    expect_finished(upload)
    expect(tally(upload, "created")).to_have_text("30")
    watched.complaints.clear()


def test_an_ended_session_only_delays(upload, folder):
    cookies = upload.context.cookies()
    upload.context.clear_cookies()
    upload.locator("#folder").set_input_files(folder(3))
    expect(upload.locator("#upload-state")).to_contain_text("You are signed out")
    expect(upload.locator("#upload-sign-in")).to_be_visible()
    upload.context.add_cookies(cookies)
    upload.locator("#upload-resume").click()
    expect_finished(upload)
    expect(results(upload, "created")).to_have_count(3)


def test_what_was_cancelled_is_not_sent_until_it_is_wanted_again(upload, folder):
    hindrance = Hindrance(upload)
    upload.locator("#folder").set_input_files(folder(25))
    hindrance.wait_for(2)
    upload.locator("#upload-cancel").click()
    expect_finished(upload)
    expect(tally(upload, "failed")).to_have_text("25")
    expect(results(upload, "failed").first).to_contain_text("You cancelled.")
    hindrance.stopped.clear()
    hindrance.end()
    upload.locator("#upload-retry").click()
    expect(tally(upload, "created")).to_have_text("25")
    expect_finished(upload)
    expect(upload.locator("#upload-retry")).to_be_hidden()


def test_a_closed_page_is_gone_on_with_by_the_next(upload, folder):
    place = folder(BATCH + 10)
    upload.locator("#files").set_input_files(sorted(place.rglob("*.png"))[:10])
    expect(tally(upload, "created")).to_have_text("10")
    hindrance = Hindrance(upload)
    upload.locator("#folder").set_input_files(place)
    hindrance.wait_for(1)
    upload.locator("h1").click()  # browsers ask nobody who has not touched the page
    asked = []
    upload.once("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    upload.reload()
    assert asked == ["beforeunload"]
    expect(upload.locator("#upload-interrupted")).to_be_visible()
    hindrance.stopped.clear()
    hindrance.end()
    requests: list[Request] = []
    upload.on("request", lambda request: requests.append(request))
    upload.locator("#folder").set_input_files(place)
    expect_finished(upload)
    expect(tally(upload, "already_there")).to_have_text("10")
    expect(tally(upload, "created")).to_have_text(str(BATCH))
    assert photos_sent(requests) == BATCH
    upload.wait_for_timeout(3_000)  # the note of what is under way is taken back
    upload.reload()
    expect(upload.locator("#upload-interrupted")).to_be_hidden()


@pytest.mark.parametrize("language", ["ja"])
def test_problems_can_be_singled_out_and_all_results_taken_along(upload, folder, language):
    place = folder(3)
    (place / "=empty.png").write_bytes(b"")
    upload.locator("#folder").set_input_files(place)
    expect(upload.locator("#upload-state")).to_have_text("完了")
    upload.locator("[data-show=problems]").click()
    rows = upload.locator("#upload-results li")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("ファイルが空です。")
    with upload.expect_download() as download:
        upload.locator("#upload-csv").click()
    table = list(csv.reader(io.StringIO(Path(download.value.path()).read_text("utf-8-sig"))))
    assert table[0] == ["ファイル", "結果", "理由"]
    assert len(table) == 1 + 4
    assert ["lot 7/=empty.png", "不可", "ファイルが空です。"] in table


def test_a_table_of_results_runs_nothing(upload):
    cells = upload.evaluate(
        """async () => {
          const { UploadReport } = await import("/static/upload-report.js");
          const text = { statuses: { created: "Stored" }, reasons: {}, columns: ["a", "b", "c"] };
          const report = new UploadReport(text, { bytes: 1 });
          return report.toCsv([{ path: '=1+1"x', status: "created" }]);
        }"""
    )
    assert cells.splitlines()[1] == '"\'=1+1""x","Stored",""'


def test_ten_thousand_photos_do_not_freeze_the_page(upload):
    sample = photo(1)
    upload.locator("#files").set_input_files([sample])
    expect_finished(upload)
    longest = upload.evaluate(
        """async (bytes) => {
          const files = new DataTransfer();
          const content = new Uint8Array(bytes);
          for (let number = 0; number < 10_000; number += 1)
            files.items.add(new File([content], `${number}.png`));
          const pause = (ms) => new Promise((next) => setTimeout(next, ms));
          const tasks = [];
          await pause(100); // making the files is a long task too, but not the page's
          new PerformanceObserver((list) => tasks.push(...list.getEntries()))
            .observe({ entryTypes: ["longtask"] });
          const field = document.querySelector("#folder");
          field.files = files.files;
          field.dispatchEvent(new Event("change"));
          while (document.querySelector("#upload-count").textContent !== "10,001 of 10,001")
            await pause(100);
          return Math.max(0, ...tasks.map((task) => task.duration));
        }""",
        list(sample["buffer"]),
    )
    assert longest < 3_000  # milliseconds, on two cores that others use too
    expect(tally(upload, "already_there")).to_have_text("10,000")
    expect(upload.locator("#upload-results li")).to_have_count(200)
    expect(upload.locator("#upload-capped")).to_contain_text("newest 200 of 10,001")


def test_a_plant_without_https_uploads_and_reviews_too(watched, workplace, folder):
    page = watched.page
    page.add_init_script(
        """for (const name of ["subtle", "randomUUID"])
             Object.defineProperty(Crypto.prototype, name, { value: undefined });"""
    )
    workplace.add_project("parts")
    watched.sign_in()
    page.goto("/projects/parts/images")
    page.locator("#folder").set_input_files(folder(2))
    expect(results(page, "created")).to_have_count(2)
    page.locator("#folder").set_input_files(folder(2))
    expect(results(page, "already_there")).to_have_count(2)
    workplace.ingest()
    page.goto("/projects/parts/annotate")
    expect(page.locator("#photo")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_have_text("Saved")
    assert len(workplace.truth("parts")) == 1
