"""Packs are read from folders and zips alike; what is none is refused in one sentence."""

import zipfile
from pathlib import Path

import pytest

from app.core.errors import Invalid
from app.demo.pack import open_pack

CLASSES = "label\tphrase\nscratch\ta scratch\ndent\ta dent\n"
LABELS = "file,split,labels\nimages/a.png,train,scratch|dent\nimages/b.png,test,\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pack = tmp_path / "pack"
    (pack / "images").mkdir(parents=True)
    (pack / "images" / "a.png").write_bytes(b"a")
    (pack / "images" / "b.png").write_bytes(b"b")
    (pack / "classes.tsv").write_text(CLASSES)
    (pack / "labels.csv").write_text(LABELS)
    return pack


def zipped(folder: Path, *, root: str) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.rglob("*.*"):
            archive.write(file, f"{root}{file.relative_to(folder)}")
    return path


@pytest.mark.parametrize("root", [None, "", "pack/"])
def test_folder_and_zip_hold_the_same(folder, root):
    pack = open_pack(folder if root is None else zipped(folder, root=root))
    assert pack.classes == {"scratch": "a scratch", "dent": "a dent"}
    assert [photo.labels for photo in pack.photos] == [{"scratch", "dent"}, set()]
    assert [photo.file for photo in pack.of_split("test")] == ["images/b.png"]
    assert [content for _, content in pack.read(list(pack.photos))] == [b"a", b"b"]


def large_pack(folder: Path, *, split: str, labels: tuple[str, ...]) -> Path:
    """Ten photos of 100 bytes; those with odd numbers carry the labels in turn."""
    rows = ["file,split,labels"]
    for number in range(10):
        (folder / "images" / f"{number}.png").write_bytes(bytes(100))
        rows.append(f"images/{number}.png,{split},{labels[number % len(labels)]}")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


def test_batches_hold_neither_too_many_photos_nor_too_many_bytes(folder):
    pack = open_pack(large_pack(folder, split="train", labels=("dent",)))

    def sizes(most_photos: int, most_bytes: int) -> list[int]:
        return [len(b) for b in pack.batches(most_photos=most_photos, most_bytes=most_bytes)]

    assert sizes(4, 10_000) == [4, 4, 2]
    assert sizes(50, 350) == [3, 3, 3, 1]
    assert sizes(50, 10) == [1] * 10


def test_a_pack_without_test_photos_gets_a_fifth_of_each_kind(folder):
    pack = open_pack(large_pack(folder, split="train", labels=("", "dent")))
    drawn = pack.with_test_photos(seed=1)
    assert sorted(len(photo.labels) for photo in drawn.of_split("test")) == [0, 1]
    assert drawn == pack.with_test_photos(seed=1)
    assert drawn != pack.with_test_photos(seed=2)
    assert drawn.with_test_photos(seed=2) is drawn


@pytest.mark.parametrize(("split", "labels"), [("train", ""), ("test", "dent")])
def test_a_pack_that_cannot_be_learned_from_is_refused(folder, split, labels):
    pack = open_pack(large_pack(folder, split=split, labels=(labels,)))
    with pytest.raises(Invalid, match="has no photo with a label to"):
        pack.with_test_photos(seed=1)


@pytest.mark.parametrize("root", [None, "pack/"])
def test_a_file_that_the_pack_lacks_is_named(folder, root):
    (folder / "images" / "b.png").unlink()
    with pytest.raises(Invalid, match=r"labels\.csv names images/b\.png, which .* lacks"):
        open_pack(folder if root is None else zipped(folder, root=root))


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("labels.csv", "file,split,labels\n"),
        ("labels.csv", "file,split,labels\nimages/a.png,train,rust\n"),
        ("labels.csv", "name,kind\nimages/a.png,train\n"),
        ("classes.tsv", "key\nscratch\n"),
    ],
)
def test_what_is_no_pack_is_refused(folder, file, content):
    (folder / file).write_text(content)
    with pytest.raises(Invalid) as refusal:
        open_pack(folder)
    assert "\n" not in refusal.value.detail


def test_a_missing_path_and_a_broken_zip_are_refused(tmp_path):
    with pytest.raises(Invalid):
        open_pack(tmp_path / "nowhere")
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"not a zip")
    with pytest.raises(Invalid):
        open_pack(broken)
