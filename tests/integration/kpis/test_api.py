"""The KPIs over HTTP: JSON, and a table for spreadsheets."""

import csv
import io

import pytest
from sqlalchemy import update

from app.images.models import Image
from tests.integration.kpis.conftest import CONTROL


@pytest.fixture
def path(office):
    office.review(office.photo(CONTROL, scratch=0.9), seconds=12, present=["scratch"])
    office.review(office.photo(CONTROL, scratch=0.9), seconds=8)
    office.review(office.photo(scratch=0.9), seconds=4)
    office.photo(scratch=0.9)
    scratch = str(office.desk.labels["scratch"].id)
    office.desk.version.metrics = {"map": {"value": 0.5}, "ap": {scratch: {"value": 0.6}}}
    office.session.commit()
    return f"/api/v1/projects/{office.project.slug}/kpis"


def table(answer):
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text)))


def without_ages(rows):
    """Those of the queue grow from one request to the next."""
    return [row for row in rows if row["figure"] not in {"queue_oldest", "queue_median"}]


def test_json_and_csv_tell_the_same(client, path):
    kpis = client.get(path).json()
    rows = table(client.get(f"{path}.csv"))
    asked_for = table(client.get(path, headers={"accept": "text/csv"}))
    assert without_ages(rows) == without_ages(asked_for)
    by_name = {(row["figure"], row["label"], row["unit"]): row for row in rows if row["to"]}
    saved = by_name["time_saved", "", "h"]
    assert float(saved["value"]) == kpis["time_saved"]["hours"] == pytest.approx(6 / 3600)
    assert float(saved["low"]) == kpis["time_saved"]["low_hours"]
    assert int(saved["count"]) == kpis["time_saved"]["assisted_images"] == 1
    money = by_name["time_saved", "", "JPY"]
    assert float(money["value"]) == kpis["time_saved"]["money"] == pytest.approx(5)
    precision = by_name["precision", "scratch", "share"]
    scratch = next(label for label in kpis["labels"] if label["label"] == "scratch")
    assert float(precision["value"]) == scratch["precision"]["value"] == 0.5
    assert int(precision["count"]) == 2
    unknown = by_name["precision", "rust", "share"]
    assert (unknown["value"], unknown["count"]) == ("", "0")
    assert by_name["auto_accepted_images", "", "images"]["value"] == "0"
    assert by_name["audit_time", "", "s"]["value"] == "0.0"
    assert by_name["queue_pending", "", "pseudo-labels"]["value"] == "1"
    ages = [float(by_name[f"queue_{which}", "", "s"]["value"]) for which in ("oldest", "median")]
    assert ages == pytest.approx([kpis["queue"]["oldest_seconds"]] * 2, abs=60)
    gains = kpis["detection_gain"]
    for part, value in (("first", 0.5), ("live", 0.5), ("gain", 0)):
        assert float(by_name[f"map_{part}", "", "mAP"]["value"]) == gains["map"][part] == value
    of_scratch = [by_name[f"ap_{x}", "scratch", "AP"]["value"] for x in ("first", "live", "gain")]
    assert of_scratch == ["0.6", "0.6", "0.0"]
    assert {row["simulated"] for row in rows} == {"True"}
    of_day = {row["figure"]: row["value"] for row in rows if not row["to"]}
    assert (of_day["finished_images"], float(of_day["control_mean_seconds"])) == ("3", 10)
    assert (of_day["accepted"], of_day["rejected"], of_day["added"]) == ("2", "1", "0")
    assert (kpis["simulated"], kpis["bucket"], kpis["from"] < kpis["to"]) == (True, "day", True)


def test_the_table_of_lines_says_which(client, path, office):
    office.session.execute(update(Image).values(line="@L1"))
    office.session.commit()
    rows = table(client.get(f"{path}.csv"))
    of_line = {row["figure"]: row for row in rows if row["figure"].startswith("line_")}
    whole = {row["figure"]: row for row in rows if row["to"] and not row["line"] + row["label"]}
    assert {row["line"] for row in of_line.values()} == {"'@L1"}  # no formula for a spreadsheet
    for figure in ("finished_images", "acceptance_rate", "control_mean"):
        assert of_line[f"line_{figure}"]["value"] == whole[figure]["value"]
    filtered = table(client.get(f"{path}.csv", params={"line": "@L1"}))
    assert {row["line"] for row in filtered} == {"'@L1"}
    assert client.get(path, params={"line": ""}).json()["line"] is None


def test_the_table_has_the_projects_name(client, path, office):
    disposition = client.get(f"{path}.csv").headers["content-disposition"]
    assert disposition == f'attachment; filename="{office.project.slug}-kpis.csv"'


def test_what_does_not_exist_is_a_problem(client, path):
    assert client.get("/api/v1/projects/nobody/kpis").status_code == 404
    for query in (
        "since=2026-01-01",
        "bucket=year",
        "from=spring",
        "from=2026-02-01&to=2026-01-01",
        "to=9999-12-31",
        "to=0001-01-02",
    ):
        for suffix in ("", ".csv"):
            answer = client.get(f"{path}{suffix}?{query}")
            assert (answer.status_code, answer.json()["status"]) == (422, 422), query
    client.headers.pop("Authorization")
    assert client.get(path).status_code == 401
