"""What is written can be read back: present, absent, unsure and unknown stay what they were."""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given

from app.annotations.models import LabelValue
from app.exchange.formats import coco, csv_long, csv_wide, label_studio, pack
from app.exchange.records import LabelState, Record
from tests.unit.exchange.samples import KEYS, LABELS, many_records, opener, written


def expanded(record: Record, labels: Iterable[str], *, unlisted_absent: bool) -> Record:
    """The record with every unnamed label spelled out as absent, where it says so."""
    if not unlisted_absent:
        return record
    implied = {
        label: LabelState(LabelValue.ABSENT)
        for label in labels
        if label not in record.states or not record.states[label].is_stated
    }
    return replace(record, states={**record.states, **implied})


def knowledge(records: list[Record]) -> list[tuple]:
    """Per photo, what every format must carry: its name and, by label, value and who says it."""
    return [
        (record.file_name, {k: (s.value, s.is_stated) for k, s in record.states.items()})
        for record in records
    ]


def spelled_out(records) -> list[Record]:
    return [expanded(record, KEYS, unlisted_absent=record.is_complete) for record in records]


def splits(records) -> list[str | None]:
    return [record.split for record in records]


@given(many_records())
def test_csv_long(records):
    read = list(csv_long.read(written(csv_long.write, records)).rows)
    assert [(r.file_name, r.states) for r in read] == [(r.file_name, r.states) for r in records]


@given(many_records())
def test_csv_wide(records):
    table = csv_wide.read(written(csv_wide.write, records, LABELS))
    read = list(table.rows)
    assert [label.key for label in table.labels] == list(KEYS)
    assert knowledge(read) == knowledge(records)
    assert splits(read) == splits(records)
    assert [r.is_complete for r in read] == [r.is_complete for r in records]


@given(many_records())
def test_coco_loses_nothing(records):
    table = coco.read(written(coco.write, records, LABELS))
    assert table.labels == LABELS
    assert list(table.rows) == records


@given(many_records())
def test_label_studio_loses_nothing_but_pixels(records):
    read = list(label_studio.read(written(label_studio.write, records)).rows)
    without_size = [
        Record(r.file_name, r.states, r.is_complete, r.split, r.sha256) for r in records
    ]
    assert read == without_size


@given(many_records())
def test_pack(records):
    classes = opener(pack.text_of_classes(LABELS))
    table = pack.read(written(pack.write, records), classes)
    read = list(table.rows)
    assert table.labels == LABELS
    assert knowledge(spelled_out(read)) == knowledge(spelled_out(records))
    assert splits(read) == splits(records)


def test_no_defect_and_not_reviewed_stay_distinct_in_every_format():
    no_defect = expanded(Record("good.png", is_complete=True), KEYS, unlisted_absent=True)
    records = [no_defect, Record("untouched.png")]
    classes = opener(pack.text_of_classes(LABELS))
    tables = [
        csv_long.read(written(csv_long.write, records)),
        csv_wide.read(written(csv_wide.write, records, LABELS)),
        coco.read(written(coco.write, records, LABELS)),
        label_studio.read(written(label_studio.write, records)),
        pack.read(written(pack.write, records), classes),
    ]
    for table in tables:
        assert knowledge(spelled_out(table.rows)) == knowledge(records)


def test_label_studio_lists_an_empty_choice_for_no_defect_and_nothing_for_not_reviewed():
    records = [Record("good.png", is_complete=True), Record("untouched.png")]
    text = written(label_studio.write, records)().read().decode()
    assert text.count('"choices": []') == 2  # the annotation's, and what it is compared with
    assert '"annotations": []' in text


def test_a_table_that_a_japanese_spreadsheet_saved_is_read():
    text = "file_name,label,value\r\n傷あり.png,scratch,1\r\n"
    (record,) = csv_long.read(opener(text, "cp932")).rows
    assert record.file_name == "傷あり.png"


def test_tables_with_tabs_and_semicolons_are_read():
    for sign in "\t;":
        text = sign.join(("file_name", "scratch")) + "\n" + sign.join(("a.png", "1")) + "\n"
        (record,) = csv_wide.read(opener("\ufeff" + text)).rows
        assert record.of_value("present") == ["scratch"]


class TestTheAnnotationForLabelStudio:
    FIRST, LAST = datetime(2026, 3, 1, 9, tzinfo=UTC), datetime(2026, 3, 2, 9, 30, tzinfo=UTC)

    def task(self) -> dict:
        states = {
            "scratch": LabelState(LabelValue.PRESENT, decided_at=self.LAST),
            "dent": LabelState(LabelValue.ABSENT, decided_at=self.FIRST),
        }
        record = Record("a.png", states, is_complete=True, active_seconds=4.25)
        (task,) = json.load(written(label_studio.write, [record])())
        return task

    def read(self, task: dict) -> Record:
        (record,) = label_studio.read(opener(json.dumps([task]))).rows
        assert isinstance(record, Record)
        return record

    def test_it_says_when_it_was_made_and_how_long_that_took(self):
        (annotation,) = self.task()["annotations"]
        assert annotation["created_at"] == "2026-03-01T09:00:00.000000Z"
        assert annotation["updated_at"] == "2026-03-02T09:30:00.000000Z"
        assert (annotation["result_count"], annotation["lead_time"]) == (1, 4.25)
        assert self.read(self.task()).states["dent"].decided_at == self.FIRST

    def test_it_says_nothing_of_times_that_nobody_knows(self):
        record = Record("a.png", {"scratch": LabelState(LabelValue.PRESENT)})
        (task,) = json.load(written(label_studio.write, [record])())
        assert {"created_at", "updated_at", "lead_time"}.isdisjoint(task["annotations"][0])

    @pytest.mark.parametrize(("day", "chosen"), [("01", "scratch"), ("03", "dent")])
    def test_another_annotation_counts_when_it_is_newer(self, day, chosen):
        task = self.task()
        other = {"updated_at": f"2026-03-{day}T12:00:00.5Z", "result": [
            {"type": "choices", "value": {"choices": ["dent"]}}
        ]}  # fmt: skip
        task["annotations"].append(other)
        record = self.read(task)
        assert record.of_value(LabelValue.PRESENT) == [chosen]
