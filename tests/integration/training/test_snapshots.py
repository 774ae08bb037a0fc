"""What a training may see: human and imported labels, never automatic ones, never the vault."""

import pytest

from app.annotations.models import Source
from app.images.models import ImageState, Split
from app.projects import service as projects
from app.training import snapshots
from app.training.snapshots import ABSENT, PRESENT, UNKNOWN
from tests.factories import make_images, make_project
from worker.engine import snapshots as files
from worker.engine.training_set import with_photos
from worker.learning.dataset import Split as LearningSplit


def frozen(line, **how):
    snapshot = snapshots.build(line.session, line.project.id, **how)
    return snapshot, {row.image_id: row for row in snapshot.rows}


def test_it_holds_what_people_said_and_leaves_the_rest_unknown(line):
    partial, complete, unsure, untouched = line.images(4)
    line.state(partial, scratch="present")
    line.state(complete, complete=True, dent="present")
    line.state(unsure, scratch="unsure", dent="absent")
    snapshot, rows = frozen(line)
    assert [label.key for label in snapshot.labels] == ["scratch", "dent"]
    assert rows[partial.id].values == (PRESENT, UNKNOWN)
    assert rows[complete.id].values == (ABSENT, PRESENT)
    assert rows[unsure.id].values == (UNKNOWN, ABSENT)
    assert rows[untouched.id].values == (UNKNOWN, UNKNOWN)
    assert snapshot.counts()["labeled"] == 3
    assert snapshot.counts()["unlabeled"] == 1
    dent = str(line.labels[1].id)
    assert snapshot.counts()["labels"][dent]["train"] == {"present": 1, "absent": 1}


def test_imported_labels_count_and_automatic_ones_do_not(line):
    imported, automatic, overruled = line.images(3)
    line.state(imported, source=Source.IMPORT, scratch="present")
    line.state(automatic, source=Source.AUTO, scratch="present")
    line.state(overruled, source=Source.AUTO, scratch="present")
    line.state(overruled, scratch="absent")
    _, rows = frozen(line)
    assert rows[imported.id].values == (PRESENT, UNKNOWN)
    assert rows[automatic.id].values == (UNKNOWN, UNKNOWN)
    assert rows[overruled.id].values == (ABSENT, UNKNOWN)


def test_evaluation_never_trains_and_the_vault_is_left_out(line):
    (train,), evaluation, (test,) = (
        line.images(1),
        line.images(2, split=Split.EVALUATION),
        line.images(1, split=Split.TEST),
    )
    for image in (train, evaluation[0], test):
        line.state(image, complete=True, scratch="present")
    snapshot, rows = frozen(line)
    assert set(rows) == {train.id, evaluation[0].id}
    learned = with_photos(snapshot, photos=None)
    by_image = dict(zip(learned.keys, learned.split, strict=True))
    assert by_image == {
        str(train.id): LearningSplit.TRAIN,
        str(evaluation[0].id): LearningSplit.VALIDATION,
    }


def test_what_cannot_be_used_is_left_out(line):
    usable, rejected, deleted = line.images(3)
    rejected.state = ImageState.REJECTED
    deleted.deleted_at = deleted.created_at
    make_images(line.session, make_project(line.session), 1)
    line.session.flush()
    _, rows = frozen(line)
    assert set(rows) == {usable.id}


def test_archived_labels_are_not_learned(line):
    (image,) = line.images(1)
    line.state(image, scratch="present", dent="present")
    line.labels[0].archived_at = image.created_at
    line.session.flush()
    snapshot, rows = frozen(line)
    assert [label.key for label in snapshot.labels] == ["dent"]
    assert rows[image.id].values == (PRESENT,)


def test_a_large_pool_is_drawn_from_the_same_way_every_time(line, monkeypatch):
    monkeypatch.setattr(snapshots, "MOST_UNLABELED", 5)
    labeled, *_ = line.images(20)
    line.state(labeled, scratch="present")
    first, rows = frozen(line, seed=1)
    assert labeled.id in rows
    assert len(rows) == 6
    assert frozen(line, seed=1)[0] == first
    assert frozen(line, seed=2)[0] != first


@pytest.mark.parametrize("change", ["nothing", "label", "photo", "prompt"])
def test_the_digest_follows_the_content(line, change):
    image, other = line.images(2)
    line.state(image, scratch="present")
    before, _ = frozen(line)
    if change == "label":
        line.state(other, scratch="absent")
    elif change == "photo":
        line.images(1)
    elif change == "prompt":
        line.labels[0].prompts = ["a scratch on steel"]
        line.session.flush()
    after, _ = frozen(line)
    assert (before.digest() == after.digest()) is (change == "nothing")


def test_the_file_gives_back_what_was_frozen(line, tmp_path):
    images = line.images(3)
    line.state(images[0], scratch="present")
    snapshot, _ = frozen(line)
    files.write(snapshot, tmp_path / "snapshot.parquet")
    assert files.read(tmp_path / "snapshot.parquet", sha256=snapshot.digest()) == snapshot
    with pytest.raises(files.SnapshotDamaged):
        files.read(tmp_path / "snapshot.parquet", sha256="0" * 64)


def test_an_empty_project_gives_an_empty_file(session, tmp_path):
    project = make_project(session, labels=())
    assert projects.list_labels(session, project.id) == []
    snapshot = snapshots.build(session, project.id)
    files.write(snapshot, tmp_path / "snapshot.parquet")
    assert files.read(tmp_path / "snapshot.parquet", sha256=snapshot.digest()) == snapshot
