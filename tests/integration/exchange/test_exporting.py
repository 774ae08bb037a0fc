"""What an export holds, and that every format brings it back into an empty project."""

import json
import zipfile
from io import BytesIO

import pytest
from sqlalchemy import select

from app.annotations import service as annotations
from app.annotations.models import LabelValue, Source
from app.annotations.service import Statement
from app.exchange.detection import Format
from app.exchange.formats import csv_long, csv_wide
from app.exchange.names import exported_name
from app.images.models import Image, Split
from app.projects import service as projects
from app.pseudolabels.models import PseudoLabel, PseudoLabelState
from tests.factories import make_project, make_user, make_version
from tests.integration.exchange.conftest import a_pack, add_photos, zipped
from tests.photos import photo

P, A, U = LabelValue.PRESENT, LabelValue.ABSENT, LabelValue.UNSURE
KNOWN = {
    "all.png": {"scratch": P, "dent": U},
    "good.png": {"scratch": A, "dent": A},
    "partly.png": {"dent": A},
    "untouched.png": {},
}


def say(session, project, image, values, *, author=None, source=Source.HUMAN, active_ms=None):
    (outcome,) = annotations.annotate_many(
        session,
        project_id=project.id,
        author_id=author.id if author else None,
        source=source,
        statements=[Statement(image.id, values, active_ms=active_ms)],
    )
    assert outcome.error is None


@pytest.fixture
def reviewer(session):
    return make_user(session)


@pytest.fixture
def full(session, project, take_in, reviewer):
    """The project with photos of every kind of knowledge."""
    take_in(project, zipped({name: photo(seed) for seed, name in enumerate(KNOWN)}))
    for image in session.scalars(select(Image).where(Image.project_id == project.id)).all():
        if KNOWN[image.file_name]:
            say(session, project, image, KNOWN[image.file_name], author=reviewer)
        if image.file_name == "good.png":
            image.split = Split.TEST
    session.commit()
    return project


@pytest.mark.parametrize("wanted", Format)
@pytest.mark.parametrize("include_images", [False, True])
def test_every_format_brings_everything_back(
    session, full, take_in, hand_out, truth_of, wanted, include_images
):
    path, written = hand_out(full, format=wanted, include_images=include_images)
    assert (written.images, written.missing_photos) == (4, 0)
    fresh = make_project(session, evaluation_rate=0.0)
    session.commit()
    name = "file.csv" if wanted in {Format.CSV_LONG, Format.CSV_WIDE} else "file.json"
    if not include_images:
        take_in(fresh, zipped({n: photo(seed) for seed, n in enumerate(KNOWN)}))
    report = take_in(fresh, path, name)
    assert report.is_clean
    assert truth_of(fresh) == KNOWN
    assert report.created == (4 if include_images else 0)


def test_an_unchanged_export_changes_nothing_where_it_came_from(full, take_in, hand_out):
    path, _ = hand_out(full, format=Format.COCO, include_images=True)
    report = take_in(full, path)
    assert (report.created, report.annotations, report.unchanged) == (0, 0, 3)


def test_the_vault_stays_the_vault(session, full, take_in, hand_out):
    path, _ = hand_out(full, format=Format.PACK, include_images=True)
    fresh = make_project(session, evaluation_rate=0.0)
    session.commit()
    take_in(fresh, path)
    rows = session.execute(select(Image.file_name, Image.split).where(Image.project_id == fresh.id))
    assert dict(rows.all())["good.png"] == Split.TEST


def test_an_export_can_be_narrowed(full, hand_out):
    def names(**wanted):
        path, _ = hand_out(full, format=Format.CSV_LONG, **wanted)
        return [record.file_name for record in csv_long.read(lambda: path.open("rb")).rows]

    assert names() == sorted(KNOWN)
    assert names(split="test") == ["good.png"]
    assert names(only_complete=True) == ["all.png", "good.png"]


def test_a_row_says_who_decided_and_when(full, hand_out, reviewer):
    path, _ = hand_out(full, format=Format.CSV_LONG)
    record = next(iter(csv_long.read(lambda: path.open("rb")).rows))
    assert record.states["dent"].reviewer == reviewer.email
    assert record.states["dent"].decided_at is not None


def test_label_studio_is_told_when_people_decided_and_how_long_they_needed(
    session, project, hand_out, reviewer
):
    timed, partly = add_photos(session, project, "a.png", "b.png")
    for image, other in ((timed, 2500), (partly, None)):
        say(session, project, image, {"scratch": P}, author=reviewer, active_ms=1500)
        say(session, project, image, {"dent": A}, author=reviewer, active_ms=other)
    session.commit()
    path, _ = hand_out(project, format=Format.LABEL_STUDIO)
    (first,), (second,) = [task["annotations"] for task in json.loads(path.read_bytes())]
    assert (first["lead_time"], first["result_count"]) == (4.0, 1)
    assert "lead_time" not in second
    assert first["created_at"] < first["updated_at"] < second["created_at"]


def test_the_photos_lie_in_the_zip_as_they_came(full, hand_out):
    path, _ = hand_out(full, format=Format.LABEL_STUDIO, include_images=True)
    with zipfile.ZipFile(path) as archive:
        assert archive.read("images/all.png") == photo(0)
        assert archive.getinfo("images/all.png").compress_type == zipfile.ZIP_STORED
        assert '<Choice value="scratch"/>' in archive.read("label_config.xml").decode()
        assert json.loads(archive.read("tasks.json"))[0]["data"] == {"image": "images/all.png"}


class TestModels:
    """What models say leaves the house only when it is asked for, and marked."""

    @pytest.fixture
    def suggested(self, session, project):
        """A photo with an open suggestion, and a label accepted by contract."""
        (image,) = add_photos(session, project, "a.png")
        labels = projects.labels_by_key(session, project.id)
        version = make_version(session, project, [label.id for label in labels.values()], number=3)
        states = {"scratch": PseudoLabelState.PENDING, "dent": PseudoLabelState.AUTO_ACCEPTED}
        for key, pseudo_state in states.items():
            row = PseudoLabel(
                project_id=project.id,
                image_id=image.id,
                label_id=labels[key].id,
                model_version_id=version.id,
                value=P,
                confidence=0.9,
                threshold=0.8,
                state=pseudo_state,
            )
            session.add(row)
        say(session, project, image, {"dent": P}, source=Source.AUTO)
        session.commit()
        return project

    def test_only_people_by_default(self, suggested, hand_out):
        path, _ = hand_out(suggested, format=Format.CSV_LONG)
        (record,) = csv_long.read(lambda: path.open("rb")).rows
        assert record.states == {}

    def test_marked_when_wanted(self, suggested, hand_out):
        path, _ = hand_out(suggested, format=Format.CSV_LONG, include_pseudo_labels=True)
        (record,) = csv_long.read(lambda: path.open("rb")).rows
        found = {key: (s.origin, s.score, s.model_version) for key, s in record.states.items()}
        assert found == {"scratch": ("pseudo", 0.9, "3"), "dent": ("auto", 0.9, "3")}
        path, _ = hand_out(suggested, format=Format.CSV_WIDE, include_pseudo_labels=True)
        (record,) = csv_wide.read(lambda: path.open("rb")).rows
        assert (record.is_complete, record.of_value(P, stated=False)) == (
            False,
            ["scratch", "dent"],
        )

    def test_it_does_not_come_back_as_truth(self, session, suggested, hand_out, take_in, truth_of):
        path, _ = hand_out(suggested, format=Format.COCO, include_pseudo_labels=True)
        other = make_project(session)
        add_photos(session, other, "a.png")
        content = path.read_bytes().replace(b'"sha256"', b'"was"')
        assert take_in(other, content, "a.json").suggestions_skipped == 2
        assert truth_of(other) == {"a.png": {}}


def test_photos_of_one_name_are_told_apart(session, project, take_in, hand_out):
    take_in(project, zipped({"a/1.png": photo(1), "b/1.png": photo(2)}))
    path, _ = hand_out(project, format=Format.PACK, include_images=True)
    names = set(zipfile.ZipFile(path).namelist())
    rows = session.scalars(select(Image).where(Image.project_id == project.id)).all()
    expected = {f"images/{exported_name('1.png', row.sha256, is_shared=True)}" for row in rows}
    assert expected < names
    assert take_in(project, path).already_there == 2


def test_a_photo_whose_bytes_are_lost_costs_no_more_than_itself(project, session, hand_out):
    add_photos(session, project, "lost.png")
    path, written = hand_out(project, format=Format.PACK, include_images=True)
    assert (written.images, written.missing_photos) == (1, 1)
    with zipfile.ZipFile(BytesIO(path.read_bytes())) as archive:
        assert archive.namelist() == ["labels.csv", "classes.tsv"]


def test_a_plain_pack_reads_an_exported_one(take_in, project, hand_out):
    """Programs that know only `file, split, labels` find them first."""
    take_in(project, zipped(a_pack()))
    path, _ = hand_out(project, format=Format.PACK)
    with zipfile.ZipFile(path) as archive:
        rows = archive.read("labels.csv").decode().splitlines()
    assert rows[0].startswith("file,split,labels,")
    assert rows[1].startswith("images/both.png,train,scratch|dent,")
