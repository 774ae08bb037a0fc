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
