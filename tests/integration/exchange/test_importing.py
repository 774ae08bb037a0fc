"""What an import leaves behind: photos, splits, statements, and a report of everything else."""

import io
import json
import zipfile

import pytest
from sqlalchemy import func, select

from app.annotations import service as annotations
from app.annotations.models import Annotation, LabelValue
from app.core.errors import Invalid, TooLarge
from app.exchange import bundles, importing
from app.images.models import Image
from app.jobs.stages import JobStage
from app.projects import service as projects
from app.projects.models import Counter
from tests.factories import make_project
from tests.integration.exchange.conftest import a_pack, add_photos, table, zipped
from tests.photos import photo

PRESENT, ABSENT = "present", "absent"
PACK_TRUTH = {
    "both.png": {"scratch": PRESENT, "dent": PRESENT},
    "good.png": {"scratch": ABSENT, "dent": ABSENT},
    "vault.png": {"scratch": ABSENT, "dent": PRESENT},
}


def count_annotations(session, project) -> int:
    of_project = Annotation.project_id == project.id
    return session.scalar(select(func.count()).select_from(Annotation).where(of_project))


def test_a_pack_brings_photos_splits_and_statements(session, project, take_in, truth_of):
    report = take_in(project, zipped(a_pack()))
    assert (report.created, report.annotations, report.is_clean) == (3, 3, True)
    assert truth_of(project) == PACK_TRUTH
    splits = dict(
        session.execute(
            select(Image.file_name, Image.split).where(Image.project_id == project.id)
        ).all()
    )
    assert splits == {"both.png": "train", "good.png": "train", "vault.png": "test"}
    counters = projects.counters(session, project.id)
    assert (counters[Counter.IMAGES], counters[Counter.ANNOTATED]) == (3, 3)
    finished = select(func.count()).select_from(Image).where(Image.reviewed_at.is_not(None))
    assert session.scalar(finished) == 3


def test_a_pack_may_lie_in_a_folder_of_the_zip_or_of_the_machine(
    project, take_in, truth_of, tmp_path
):
    archive = io.BytesIO(zipped(a_pack("boards/")))
    folder = tmp_path / "pack"
    zipfile.ZipFile(archive).extractall(folder)
    assert take_in(project, archive.getvalue()).created == 3
    assert take_in(project, folder).already_there == 3
    assert truth_of(project) == PACK_TRUTH


def test_an_import_that_is_repeated_changes_nothing(session, project, take_in, truth_of):
    take_in(project, zipped(a_pack()))
    again = take_in(project, zipped(a_pack()))
    assert (again.created, again.already_there) == (0, 3)
    assert (again.annotations, again.unchanged) == (0, 3)
    assert count_annotations(session, project) == 3
    assert truth_of(project) == PACK_TRUTH


class PowerCut(Exception):
    pass


def test_an_import_that_stopped_in_the_middle_goes_on_without_doubles(
    session, project, take_in, truth_of
):
    seen = []

    def fail_at_the_third_photo(share, stage):
        seen.append(stage)
        if seen.count(JobStage.IMPORT) == 3:
            raise PowerCut

    with pytest.raises(PowerCut):
        take_in(project, zipped(a_pack()), on_progress=fail_at_the_third_photo)
    report = take_in(project, zipped(a_pack()))
    assert (report.created, report.already_there) == (1, 2)
    assert count_annotations(session, project) == 3
    assert truth_of(project) == PACK_TRUTH


def test_what_an_import_remembers_is_not_done_again(
    session, project, take_in, truth_of, monkeypatch
):
    monkeypatch.setattr(importing, "BATCH", 1)

    def fail_near_the_end(share, stage):
        if share > 0.5:
            raise PowerCut

    with pytest.raises(PowerCut):
        take_in(project, zipped(a_pack()), workdir="kept", on_progress=fail_near_the_end)
    report = take_in(project, zipped(a_pack()), workdir="kept")
    assert (report.created, report.already_there, report.annotations) == (3, 0, 3)
    assert count_annotations(session, project) == 3
    assert truth_of(project) == PACK_TRUTH


def test_people_are_not_overruled_by_a_file(session, project, take_in, truth_of):
    take_in(project, zipped({"both.png": photo(0)}))
    image = session.scalar(select(Image).where(Image.project_id == project.id))
    label = projects.labels_by_key(session, project.id)["scratch"]
    annotations.annotate(
        session,
        project_id=project.id,
        image_id=image.id,
        author_id=None,
        values={label.id: LabelValue.ABSENT},
        is_complete=False,
    )
    session.commit()
    report = take_in(project, zipped(a_pack()))
    assert report.kept_decisions == 1
    assert truth_of(project)["both.png"] == {"scratch": ABSENT, "dent": PRESENT}


def test_a_newer_file_corrects_an_older_one(project, take_in, truth_of):
    take_in(project, zipped(a_pack()))
    rows = table(("file_name", "label", "value"), ("both.png", "dent", "?"))
    report = take_in(project, rows.encode(), "corrections.csv")
    assert (report.created, report.annotations) == (0, 1)
    assert truth_of(project)["both.png"] == {"scratch": PRESENT, "dent": "unsure"}


def test_photos_without_a_table_are_taken_in_unlabelled(project, take_in, truth_of):
    members = {"a/1.png": photo(1), "b/2.jpg": photo(2, "JPEG"), "__MACOSX/._1.png": b"x"}
    assert take_in(project, zipped({**members, "inner.zip": b"PK"})).created == 2
    assert truth_of(project) == {"1.png": {}, "2.jpg": {}}


def test_files_that_are_no_photos_are_reported_and_the_others_come_in(project, take_in):
    report = take_in(project, zipped({"a.png": photo(1), "b.png": b"", "c.jpg": b"%PDF-1.7"}))
    assert (report.created, report.rejected) == (1, 2)
    assert [item.file_name for item in report.rejected_files] == ["b.png", "c.jpg"]
    assert report.rejected_files[0].detail == "The file is empty."


def test_bad_rows_are_named_and_good_ones_go_in(session, project, take_in, truth_of):
    add_photos(session, project, "a.png")
    rows = [("file_name", "label", "value"), ("a.png", "scratch", "1"), ("a.png", "dent", "x")]
    report = take_in(project, table(*rows).encode(), "labels.csv")
    assert report.row_errors == ["Line 3: the value 'x' is not present, absent or unsure."]
    assert truth_of(project) == {"a.png": {"scratch": PRESENT}}


def test_a_split_that_does_not_exist_leaves_its_row_out(project, take_in, truth_of):
    members = {"labels.csv": table(("file", "split", "labels"), ("a.png", "tset", ""))}
    report = take_in(project, zipped({**members, "a.png": photo(1)}))
    assert report.row_errors == ["a.png: there is no split 'tset'."]
    assert truth_of(project) == {}


class TestLabels:
    ROWS = (("file_name", "label", "value"), ("a.png", "Deep Hole", "1"), ("a.png", "傷", "1"))

    @pytest.fixture(autouse=True)
    def image(self, session, project):
        add_photos(session, project, "a.png")

    def test_unknown_ones_are_counted_and_the_rest_goes_in(self, project, take_in, truth_of):
        rows = table(*self.ROWS, ("a.png", "dent", "0"))
        report = take_in(project, rows.encode(), "labels.csv")
        assert report.unknown_labels == {"Deep Hole": 1, "傷": 1}
        assert truth_of(project) == {"a.png": {"dent": ABSENT}}

    def test_they_are_created_when_that_is_wanted(self, session, project, take_in, truth_of):
        rows = table(*self.ROWS).encode()
        report = take_in(project, rows, "labels.csv", create_labels=True)
        assert report.created_labels[0] == "deep_hole"
        labels = projects.labels_by_key(session, project.id)
        assert labels["deep_hole"].names == {"en": "Deep Hole"}
        assert labels[report.created_labels[1]].names == {"ja": "傷"}
        assert len(truth_of(project)["a.png"]) == 2
        again = take_in(project, rows, "labels.csv", create_labels=True)
        assert (again.created_labels, again.unchanged) == ([], 1)

    def test_names_mean_labels_too(self, project, take_in, truth_of):
        rows = table(("file_name", "Scratch", "DENT"), ("a.png", "1", "0"))
        assert take_in(project, rows.encode(), "labels.csv").is_clean
        assert truth_of(project) == {"a.png": {"scratch": PRESENT, "dent": ABSENT}}

    def test_unlisted_ones_are_absent_only_when_the_format_or_the_person_says_so(
        self, project, take_in, truth_of
    ):
        rows = table(("file_name", "label", "value"), ("a.png", "scratch", "1")).encode()
        take_in(project, rows, "labels.csv")
        assert truth_of(project)["a.png"] == {"scratch": PRESENT}
        take_in(project, rows, "labels.csv", unlisted_absent=True)
        assert truth_of(project)["a.png"] == {"scratch": PRESENT, "dent": ABSENT}

    @pytest.mark.parametrize("batch", [1, 500])
    def test_a_full_answer_about_a_photo_stands_in_one_place(
        self, session, project, take_in, truth_of, monkeypatch, batch
    ):
        monkeypatch.setattr(importing, "BATCH", batch)
        add_photos(session, project, "b.png")
        rows = [("a.png", "scratch", "1"), ("b.png", "scratch", "1"), ("a.png", "dent", "1")]
        content = table(("file_name", "label", "value"), *rows).encode()
        report = take_in(project, content, "labels.csv", unlisted_absent=True)
        assert report.row_errors == ["Line 4: the rows of a.png must follow each other."]
        one_scratch = {"scratch": PRESENT, "dent": ABSENT}
        assert truth_of(project) == {"a.png": one_scratch, "b.png": one_scratch}

    def test_rows_in_any_order_add_up_where_none_is_a_full_answer(
        self, session, project, take_in, truth_of
    ):
        add_photos(session, project, "b.png")
        rows = [("a.png", "scratch", "1"), ("b.png", "scratch", "1"), ("a.png", "dent", "1")]
        content = table(("file_name", "label", "value"), *rows).encode()
        assert take_in(project, content, "labels.csv").is_clean
        assert truth_of(project)["a.png"] == {"scratch": PRESENT, "dent": PRESENT}

    def test_a_label_that_the_file_cannot_mean_stays_unknown(self, project, take_in, truth_of):
        content = {
            "images": [{"id": 1, "file_name": "a.png", "reviewed": True}],
            "categories": [{"id": 1, "name": "scratch"}],
            "annotations": [],
        }
        take_in(project, json.dumps(content).encode(), "labels.json")
        assert truth_of(project)["a.png"] == {"scratch": ABSENT}

    def test_what_models_say_is_no_statement(self, project, take_in, truth_of):
        rows = table(("file_name", "scratch", "dent"), ("a.png", "p1", "1")).encode()
        assert take_in(project, rows, "labels.csv").suggestions_skipped == 1
        assert truth_of(project)["a.png"] == {"dent": PRESENT}


class TestMatching:
    def test_two_photos_of_one_name_are_not_guessed_between(
        self, session, project, take_in, truth_of
    ):
        first, _ = add_photos(session, project, "same.png", "same.png")
        rows = [("file_name", "label", "value"), ("same.png", "dent", "1")]
        report = take_in(project, table(*rows).encode(), "labels.csv")
        assert report.unmatched_files[0].detail == "The project has 2 photos of this name."
        rows[1] = (f"same~{first.sha256[:16]}.png", "dent", "1")
        assert take_in(project, table(*rows).encode(), "labels.csv").annotations == 1

    def test_photos_of_another_project_are_out_of_reach(self, session, project, take_in):
        other = make_project(session)
        add_photos(session, other, "theirs.png")
        rows = table(("file_name", "label", "value"), ("theirs.png", "dent", "1"))
        report = take_in(project, rows.encode(), "labels.csv")
        assert (report.unmatched, report.annotations) == (1, 0)


class TestHostileFiles:
    @pytest.mark.parametrize("name", ["../evil.png", "/etc/evil.png", "a/../../b.png", "C:/x.png"])
    def test_names_that_lead_elsewhere_are_refused(self, project, take_in, truth_of, name):
        with pytest.raises(Invalid, match="leads elsewhere"):
            take_in(project, zipped({"a.png": photo(1), name: photo(2)}))
        assert truth_of(project) == {}

    def test_bombs_are_refused_before_they_unfold(self, project, take_in):
        bomb = zipped({"a.png": bytes(2**27)}, compression=zipfile.ZIP_DEFLATED)
        with pytest.raises(Invalid, match="as only bombs do"):
            take_in(project, bomb)

    def test_a_zip_of_too_many_bytes_is_refused(self, project, take_in, monkeypatch):
        monkeypatch.setattr(bundles, "MAX_UNPACKED_BYTES", 100)
        with pytest.raises(TooLarge, match="unpacks to"):
            take_in(project, zipped(a_pack()))

    def test_a_damaged_member_is_one_rejected_file(self, project, take_in):
        content = bytearray(zipped({"a.png": photo(1), "b.png": photo(2)}))
        content[100] ^= 0xFF
        report = take_in(project, bytes(content))
        assert (report.created, report.rejected) == (1, 1)
        assert report.rejected_files[0].detail == "The file is damaged: it cannot be unpacked."

    @pytest.mark.parametrize(
        ("content", "name", "sentence"),
        [
            (b"PK\x05\x06" + bytes(10), "a.zip", "There is nothing to import"),
            (b"hello", "a.txt", "There is nothing to import"),
            (b"a,b\n1,2\n", "a.csv", "a.csv is a table of no format that Kizu knows."),
            (b'{"images": [}', "a.json", "The JSON breaks at character 13"),
        ],
    )
    def test_what_is_no_data_set_is_refused_in_a_sentence(
        self, project, take_in, content, name, sentence
    ):
        with pytest.raises(Invalid, match=sentence):
            take_in(project, content, name)
