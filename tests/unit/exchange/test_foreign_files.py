"""Files that other tools or people made, and broken ones: a plain sentence that names the place."""

import json

import pytest

from app.core.errors import Invalid
from app.exchange.formats import coco, csv_long, csv_wide, label_studio, pack
from app.exchange.formats.json_stream import read_elements
from app.exchange.formats.tabular import guard, unguard
from app.exchange.records import Record
from tests.unit.exchange.samples import opener


def problems(table) -> list[str]:
    return [row.detail for row in table.rows if isinstance(row, Invalid)]


def refusal(read, content) -> str:
    with pytest.raises(Invalid) as refused:
        list(read(opener(content)).rows)
    return refused.value.detail


@pytest.mark.parametrize(
    "cell", ["=1+1", "+a", "-a", "@a", "'=1", "''@", "\t=1", "a", "'a", "", "'"]
)
def test_a_formula_is_disarmed_and_restored(cell):
    assert not guard(cell).startswith(("=", "+", "-", "@", "\t", "\r"))
    assert unguard(guard(cell)) == cell


class TestCsv:
    def test_bad_rows_are_named_and_good_ones_stay(self):
        text = (
            "file_name,label,value\na.png,scratch,1\nb.png,scratch,maybe\n,x,1\nc.png,x\nd.png,y,0"
        )
        rows = list(csv_long.read(opener(text)).rows)
        assert [r.file_name for r in rows if isinstance(r, Record)] == ["a.png", "d.png"]
        assert [r.detail for r in rows if isinstance(r, Invalid)] == [
            "Line 3: the value 'maybe' is not present, absent or unsure.",
            "Line 4: the file name is empty.",
            "Line 5: it has 2 cells, the header has 3.",
        ]

    def test_the_newest_row_about_a_label_wins(self):
        text = "file_name,label,value\na.png,scratch,1\na.png,scratch,0\na.png,dent,?\n"
        (record,) = csv_long.read(opener(text)).rows
        assert {k: s.value for k, s in record.states.items()} == {
            "scratch": "absent",
            "dent": "unsure",
        }

    @pytest.mark.parametrize(
        ("read", "content", "sentence"),
        [
            (csv_long.read, "", "The table is empty: it lacks even a header."),
            (csv_long.read, "a,b\n", "The header lacks the column file_name."),
            (csv_long.read, b"\xff\xfe\x00\x81", "The table is neither UTF-8 nor Shift_JIS text."),
            (csv_wide.read, "name,a\n", "The header must begin with the column file_name."),
            (csv_wide.read, "file_name,split\n", "The header names no label."),
            (csv_wide.read, "file_name,a,a\n", "The header has an empty or repeated label: a."),
            (pack.read, "file,split\n", "The header of labels.csv lacks the column labels."),
        ],
    )
    def test_a_header_that_is_none_is_refused_in_one_sentence(self, read, content, sentence):
        assert refusal(read, content) == sentence

    def test_a_cell_of_a_wide_table_that_means_nothing_is_named(self):
        table = csv_wide.read(opener("file_name,scratch\na.png,1\nb.png,7\n"))
        assert problems(table) == ["Line 3: '7' of scratch is none of 1, 0, ?, p1, p0 and blank."]

    def test_a_plain_pack_says_that_unnamed_labels_are_absent(self):
        table = pack.read(
            opener("file,split,labels\nimages/a.png,train,scratch|dent\nimages/b.png,test,\n"),
            opener("label\tphrase\nscratch\ta scratch\ndent\ta dent\n"),
        )
        first, second = table.rows
        assert first.of_value("present") == ["scratch", "dent"]
        assert (second.file_name, second.split, second.is_complete) == ("b.png", "test", True)

    def test_a_pack_whose_label_has_no_class_says_which(self):
        table = pack.read(opener("file,labels\nimages/a.png,x\n"), opener("label\tphrase\ny\tz\n"))
        assert problems(table) == ["Line 2: classes.tsv lacks the label x."]


class TestJson:
    def test_long_arrays_are_read_an_element_at_a_time(self):
        content = json.dumps(
            {"a": list(range(50_000)), "b": {"c": "]"}, "d": [{"e": 1.5}], "f": []}
        )
        elements = list(read_elements(opener(content)))
        assert [v for n, _, v in elements if n == "a"] == list(range(50_000))
        assert elements[-2:] == [("b", 0, {"c": "]"}), ("d", 0, {"e": 1.5})]

    @pytest.mark.parametrize(
        "broken", ["", "[1, 2", "[1 2]", '{"a" 1}', "[1]x", '{"a": [}', "{1: 2}"]
    )
    def test_broken_json_says_where(self, broken):
        with pytest.raises(Invalid, match="The JSON breaks at character"):
            list(read_elements(opener(broken)))

    def test_coco_with_boxes_from_elsewhere(self):
        boxes = [{"id": n, "image_id": 7, "category_id": 3, "bbox": [0, 0, 1, n]} for n in (1, 2)]
        content = {
            "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 8, "file_name": "b.jpg"}],
            "categories": [{"id": 3, "name": "scratch"}],
            "annotations": boxes,
        }
        table = coco.read(opener(json.dumps(content)))
        first, second = table.rows
        assert first.of_value("present") == ["scratch"]
        assert (second.states, second.is_complete) == ({}, False)

    def test_coco_names_the_element_that_is_wrong(self):
        content = {
            "images": [{"id": 1}, {"id": 2, "file_name": "b.jpg"}, {"id": 3, "file_name": "c.jpg"}],
            "categories": [{"id": 3, "name": "scratch"}],
            "annotations": [{"image_id": 2, "category_id": 9}, {"category_id": 3}],
        }
        assert problems(coco.read(opener(json.dumps(content)))) == [
            "annotations[1] lacks what COCO needs.",
            "images[0] has no id or no file_name.",
            "images[1] is annotated with category 9, which is unknown.",
        ]

    def test_json_that_is_no_coco_is_refused(self):
        assert refusal(coco.read, "{}") == "The file has no categories, so it is no COCO data set."

    def test_label_studio_choices_are_full_answers(self):
        content = [
            task("/data/upload/3/1a2b3c4d-a.jpg", ["scratch"]),
            task("s3://bucket/folder/b%20c.jpg", []),
            {"data": {"image": "/data/local-files/?d=line1/d.jpg"}, "annotations": []},
        ]
        first, second, third = label_studio.read(opener(json.dumps(content))).rows
        assert (first.file_name, first.of_value("present")) == ("a.jpg", ["scratch"])
        assert (second.file_name, second.states, second.is_complete) == ("b c.jpg", {}, True)
        assert (third.file_name, third.is_complete) == ("d.jpg", False)

    def test_the_newest_annotation_that_was_not_cancelled_counts(self):
        one = task("a.jpg", ["old"])
        one["annotations"][0]["updated_at"] = "2026-01-01T00:00:00Z"
        one["annotations"] += [
            {**answer(["new"]), "updated_at": "2026-02-01T00:00:00Z"},
            {**answer(["cancelled"]), "updated_at": "2026-03-01T00:00:00Z", "was_cancelled": True},
        ]
        (record,) = label_studio.read(opener(json.dumps([one]))).rows
        assert record.of_value("present") == ["new"]

    def test_predictions_come_as_suggestions_with_their_scores(self):
        prediction = {"model_version": 7, "score": 0.5, "result": answer(["dent"])["result"]}
        content = [{"data": {"image": "a.jpg"}, "predictions": [prediction]}]
        (record,) = label_studio.read(opener(json.dumps(content))).rows
        state = record.states["dent"]
        assert (state.is_stated, state.score, state.model_version) == (False, 0.5, "7")

    def test_an_edit_in_label_studio_wins_over_what_kizu_wrote(self):
        one = task("a.jpg", ["scratch"])
        one["meta"] = {"kizu": {"choices": ["dent"], "states": {"dent": {"value": "present"}}}}
        (record,) = label_studio.read(opener(json.dumps([one]))).rows
        assert (list(record.states), record.is_complete) == (["scratch"], True)

    def test_a_task_that_is_none_is_named(self):
        content = [task("a.jpg", ["x"]), {"id": 2}, 3, {"data": {"n": 1}}]
        assert problems(label_studio.read(opener(json.dumps(content)))) == [
            f"Task {n} is no Label Studio task with an image and choices." for n in (2, 3, 4)
        ]


def answer(choices: list[str]) -> dict:
    return {"result": [{"type": "choices", "value": {"choices": choices}}]}


def task(image: str, choices: list[str]) -> dict:
    return {"data": {"image": image}, "annotations": [answer(choices)]}
