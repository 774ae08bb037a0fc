"""Each figure is made of its rows: the same filters, and they add up to it."""

import csv
import io
from collections import Counter
from uuid import UUID

import pytest
from sqlalchemy import update

from app.annotations.models import LabelValue, Source
from app.core.clock import now
from app.images.models import Arm, Image
from app.kpis import service
from app.kpis.reading import RowReading
from app.kpis.schemas import Figure, KpiRowQuery
from app.projects import service as projects
from app.projects.models import Counter as ProjectCounter
from app.pseudolabels import acceptance
from app.pseudolabels.models import PseudoLabel, PseudoLabelState
from app.reviews import service as reviews
from app.reviews.models import Verdict
from tests.factories import make_user
from tests.integration.kpis.conftest import CONTROL


@pytest.fixture
def busy(office):
    """Some of everything: control, assisted, mixed, untimed, audited, cleared, undone, waiting."""
    for seconds in (9, 10, 12, 14, 30, 8):
        office.review(office.photo(CONTROL, scratch=0.9), seconds=seconds, present=["scratch"])
    office.review(office.photo(CONTROL, scratch=0.9, dent=0.8), seconds=11, present=["dent"])
    for seconds in (4, 5, 3.5):
        office.review(office.photo(scratch=0.9), seconds=seconds)
    _decide(office)
    office.review(office.photo(scratch=0.9))
    _step(office)
    _suggest_absence(office)
    _clear(office)
    office.review(office.photo(scratch=0.9), seconds=99)
    reviews.undo(office.session, project=office.project, actor_id=office.desk.reviewer.id)
    office.photo(scratch=0.9)
    office.photo(CONTROL, rust=0.9)
    office.session.commit()
    return office


def _decide(office):
    held = office.hold(office.photo(scratch=0.9, dent=0.8))
    scratch, dent = held.suggestions
    verdicts = {scratch.id: Verdict.ACCEPT, dent.id: Verdict.REJECT}
    office.desk.submit(held, verdicts=verdicts, additions=office.values("rust"), active_ms=6000)


def _suggest_absence(office):
    """Hidden, of a label that is there once and once is not."""
    for present in ([], ["rust"]):
        image = office.photo(CONTROL, rust=0.9)
        absent = update(PseudoLabel).values(value=LabelValue.ABSENT)
        office.session.execute(absent.where(PseudoLabel.image_id == image.id))
        office.review(image, present=present)


def _step(office):
    image = office.photo()
    office.state(image, "scratch", complete=False, arm=Arm.ASSISTED, active_ms=1500)
    office.state(image, arm=Arm.ASSISTED, active_ms=2500)


def _clear(office):
    cleared, audited = (office.photo(scratch=0.99) for _ in range(2))
    office.session.execute(
        update(PseudoLabel)
        .where(PseudoLabel.image_id.in_([cleared.id, audited.id]))
        .values(state=PseudoLabelState.AUTO_ACCEPTED, decided_at=now())
    )
    projects.adjust_counter(
        office.session, office.project.id, ProjectCounter.PENDING_PSEUDO_LABELS, -2
    )
    for image in (cleared, audited):
        office.state(image, "scratch", source=Source.AUTO)
    acceptance.clear(office.session, [cleared.id, audited.id])
    office.state(audited, "scratch", arm=Arm.AUDIT, active_ms=7000)


class Reader:
    def __init__(self, client, office):
        self.client = client
        self.path = f"/api/v1/projects/{office.project.slug}/kpis"

    def kpis(self, **query):
        return self.client.get(self.path, params=query).json()

    def page(self, figure, **query):
        answer = self.client.get(f"{self.path}/rows", params={"figure": figure, **query})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def rows(self, figure, **query):
        """All of them, three to a page."""
        found, cursor = [], {}
        while True:
            page = self.page(figure, limit=3, **query, **cursor)
            found += page["items"]
            if page["next_cursor"] is None:
                return found
            cursor = {"cursor": page["next_cursor"]}

    def contributions(self, figure, **query):
        return [row["contribution"] for row in self.rows(figure, **query)]


@pytest.fixture
def reader(client, busy):
    return Reader(client, busy)


def test_the_time_saved_is_the_sum_of_its_rows(reader):
    saved = reader.kpis()["time_saved"]
    rows = reader.rows("time_saved")
    assert sum(row["contribution"] for row in rows) == pytest.approx(saved["hours"] * 3600)
    of = [(row["kind"], row["arm"]) for row in rows]
    assert of.count(("finished", "control")) == saved["control_images"] == 7
    assert of.count(("finished", "assisted")) == saved["assisted_images"] == 5
    assert of.count(("cleared", None)) == saved["auto_accepted_images"] == 1
    audits = [row["seconds"] for row in rows if row["kind"] == "audit"]
    assert sum(audits) == saved["audit_seconds"] == 7
    assert {row["contribution"] for row in rows if row["arm"] == "control"} == {0.0}


def figure_alone(office, figure, label=None):
    query = KpiRowQuery(figure=figure, label=label)
    return service.figure_of(RowReading(office.session, office.project, query))


def test_a_figure_alone_is_the_one_among_all(busy):
    office, found = busy, busy.kpis()
    assert figure_alone(office, "time_saved") == found.time_saved.hours
    assert figure_alone(office, "finished_images") == found.finished_images
    assert figure_alone(office, "images_per_hour") == found.images_per_hour
    assert figure_alone(office, "active_time") == found.active_hours
    assert figure_alone(office, "queue") == found.queue.pending_pseudo_labels
    assert figure_alone(office, "acceptance_rate") == pytest.approx(found.acceptance_rate.value)
    for quality in found.labels:
        for figure in ("acceptance_rate", "precision", "recall", "absent_precision"):
            share = getattr(quality, figure)
            alone = figure_alone(office, figure, quality.label)
            assert alone == (None if share is None else pytest.approx(share.value))


def test_agreement_alone_is_the_one_among_all(office):
    image = office.photo()
    office.state(image, "scratch", active_ms=1000)
    office.state(image, "dent", author=make_user(office.session), active_ms=1000)
    found = office.kpis().agreement
    assert found is not None
    assert figure_alone(office, "agreement") == found.alpha


@pytest.mark.parametrize("figure", ["precision", "recall", "absent_precision", "acceptance_rate"])
@pytest.mark.parametrize("label", ["scratch", "dent", "rust"])
def test_the_shares_of_a_label_are_the_mean_of_their_rows(reader, figure, label):
    (quality,) = [x for x in reader.kpis()["labels"] if x["label"] == label]
    rows = reader.rows(figure, label=label)
    assert {row["label"] for row in rows} <= {label}
    assert {row["kind"] for row in rows} <= {"decision"}
    share = quality[figure]
    if share is None:
        assert rows == []
    else:
        assert len(rows) == share["count"]
        mean = sum(row["contribution"] for row in rows) / len(rows)
        assert mean == pytest.approx(share["value"])


def test_there_are_shares_to_test(reader):
    by_label = {x["label"]: x for x in reader.kpis()["labels"]}
    assert (by_label["scratch"]["precision"]["count"], by_label["dent"]["recall"]["count"]) == (
        7,
        1,
    )
    assert by_label["scratch"]["recall"] is not None
    assert 0 < by_label["scratch"]["precision"]["value"] < 1
    assert by_label["rust"]["absent_precision"]["value"] == 0.5


def test_the_other_figures_are_made_of_theirs(reader):
    kpis = reader.kpis()
    rate = reader.contributions("acceptance_rate")
    assert len(rate) == kpis["acceptance_rate"]["count"]
    assert sum(rate) / len(rate) == pytest.approx(kpis["acceptance_rate"]["value"])
    assert sum(reader.contributions("finished_images")) == kpis["finished_images"]
    seconds = reader.contributions("images_per_hour")
    assert len(seconds) * 3600 / sum(seconds) == pytest.approx(kpis["images_per_hour"])
    assert sum(reader.contributions("active_time")) == pytest.approx(kpis["active_hours"] * 3600)


def test_the_agreement_is_that_of_its_rows_with_chance_taken_off(reader, busy):
    """Krippendorff's alpha, from what the rows say: 1 - observed / expected disagreement."""
    colleagues = [make_user(busy.session) for _ in range(2)]
    for present in (["scratch"], ["dent"], []):
        image = busy.photo()
        for author, seen in zip([None, *colleagues], (present, present, ["scratch"]), strict=True):
            busy.state(image, *seen, author=author)
    busy.session.commit()
    rows = reader.rows("agreement")
    assert len(rows) == 3 * 3 * 3
    assert len({row["id"] for row in rows}) == len(rows)
    values = Counter(row["stated_value"] for row in rows)
    n = len(rows)
    expected = sum(count * (n - count) for count in values.values()) / (n * (n - 1))
    observed = 1 - sum(row["contribution"] for row in rows) / n
    agreement = reader.kpis()["agreement"]
    assert agreement["pairs"] == 9
    assert agreement["alpha"] == pytest.approx(1 - observed / expected)
    assert {row["label"] for row in reader.rows("agreement", label="dent")} == {"dent"}


def test_the_queue_hides_what_the_control_arm_would_show(reader):
    kpis = reader.kpis()
    assert kpis["queue"]["pending_pseudo_labels"] == 3  # one of them of the control arm
    rows = reader.rows("queue")
    assert [row["label"] for row in rows] == ["scratch", "scratch"]
    assert rows[0]["contribution"] >= rows[1]["contribution"]
    assert rows[0]["contribution"] == pytest.approx(kpis["queue"]["oldest_seconds"], abs=60)


@pytest.mark.parametrize("figure", list(Figure))
def test_a_line_and_a_period_restrict_the_rows_as_they_restrict_the_figure(reader, busy, figure):
    assert reader.rows(figure, line="L9") == []
    if figure != Figure.QUEUE:  # the queue is that of now
        assert reader.rows(figure, **{"from": "2020-01-01", "to": "2020-01-31"}) == []
    every = reader.rows(figure)
    busy.session.execute(update(Image).values(line="L1"))
    busy.session.commit()
    of_line = reader.rows(figure, line="L1")
    assert [row["id"] for row in of_line] == [row["id"] for row in every]
    assert {row["line"] for row in of_line} <= {"L1"}


def test_rows_name_the_photo_and_who(reader, busy):
    newest = reader.page("finished_images")["items"]
    times = [row["at"] for row in newest]
    assert times == sorted(times, reverse=True)
    assert {row["reviewer"] for row in newest} == {busy.desk.reviewer.display_name}
    assert all(row["file_name"] for row in newest)


def test_rows_of_deleted_photos_still_count_but_name_nothing(reader, busy):
    image = busy.session.get_one(Image, UUID(reader.rows("recall")[0]["image_id"]))
    image.deleted_at = now()
    busy.session.commit()
    kpis, rows = reader.kpis(), reader.rows("finished_images")
    assert len(rows) == kpis["finished_images"]
    assert [row["image_id"] for row in rows if row["file_name"] is None] == [str(image.id)]


def test_without_a_control_image_no_row_saves_anything(client, office):
    office.review(office.photo(scratch=0.9), seconds=3)
    office.session.commit()
    reader = Reader(client, office)
    assert reader.kpis()["time_saved"] is None
    assert reader.contributions("time_saved") == [None]


def test_the_table_has_every_row_and_no_formula(reader, busy, client):
    busy.desk.reviewer.display_name = "=1+1"
    busy.session.commit()
    answer = client.get(f"{reader.path}/rows.csv", params={"figure": "time_saved", "limit": 1})
    assert answer.headers["content-type"].startswith("text/csv")
    name = f'attachment; filename="{busy.project.slug}-time_saved.csv"'
    assert answer.headers["content-disposition"] == name
    table = list(csv.DictReader(io.StringIO(answer.text)))
    rows = reader.rows("time_saved")
    assert [row["id"] for row in table] == [row["id"] for row in rows]
    saved = reader.kpis()["time_saved"]["hours"] * 3600
    assert sum(float(row["contribution"]) for row in table) == pytest.approx(saved)
    assert {row["reviewer"] for row in table} == {"'=1+1", ""}
    assert "link" not in answer.headers


def test_a_long_table_names_where_it_goes_on(reader, client, monkeypatch):
    monkeypatch.setattr("app.kpis.routes.ROWS_IN_A_TABLE", 5)
    address, found = f"{reader.path}/rows.csv?figure=finished_images", []
    while address:
        answer = client.get(address)
        found += [row["id"] for row in csv.DictReader(io.StringIO(answer.text))]
        address = answer.links["next"]["url"] if "link" in answer.headers else None
    assert found == [row["id"] for row in reader.rows("finished_images")]


def test_what_is_no_question_is_refused(reader, client):
    for query in (
        {},
        {"figure": "fame"},
        {"figure": "time_saved", "label": "scratch"},
        {"figure": "precision", "label": "nothing"},
        {"figure": "precision", "limit": 501},
        {"figure": "precision", "line": "\0"},
    ):
        for suffix in ("", ".csv"):
            assert client.get(f"{reader.path}/rows{suffix}", params=query).status_code == 422, query
    bad = client.get(f"{reader.path}/rows", params={"figure": "precision", "cursor": "x"})
    assert bad.status_code == 400


def test_a_page_takes_few_queries_however_many_rows(reader, count_queries):
    reader.page("time_saved")  # the first request also notes that its token was used
    for figure in Figure:
        for limit in (1, 12, 100):
            with count_queries() as statements:
                reader.page(figure, limit=limit)
            # Who asks, which project, which labels, and the rows of a month in up to four parts;
            # of the time saved and of agreement, the evidence of the period.
            reads_evidence = figure in (Figure.TIME_SAVED, Figure.AGREEMENT)
            assert len(statements) <= (15 if reads_evidence else 8), figure
