"""Data sets on the disk, in the layouts that their authors distribute, become packs."""

import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from benchmarks.datasets import UnreadableData, read
from tests.learning.marks import write_pack


def photo(file):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), "grey").save(file)


def test_a_pack_is_read_from_a_folder_and_from_a_zip_alike(tmp_path):
    folder = write_pack(tmp_path / "tiny", train=5, test=3)
    (folder / "partial.csv").write_text("file,partial_labels\nimages/1.png,dark|line\n")
    with zipfile.ZipFile(tmp_path / "tiny.zip", "w") as archive:
        for file in sorted(folder.rglob("*.*")):
            archive.write(file, file.relative_to(tmp_path))
    from_folder = read(str(folder), tmp_path)
    for _ in range(2):  # unpacked once, then found
        from_zip = read(str(tmp_path / "tiny.zip"), tmp_path / "scratch")
        assert from_zip.name == from_folder.name == "tiny"
        assert from_zip.specs == from_folder.specs
        assert (from_zip.labels == from_folder.labels).all()
        assert (from_zip.photo(7) == from_folder.photo(7)).all()
    assert from_folder.test.tolist() == [False] * 5 + [True] * 3
    assert np.argwhere(from_folder.doubted).tolist() == [[1, 1], [1, 2]]


def test_draws_are_nested_in_their_seed_and_differ_between_seeds(tmp_path):
    pack = read(str(write_pack(tmp_path / "tiny", train=20, test=2)), tmp_path)
    assert sorted(pack.order(0).tolist()) == list(range(20))
    assert pack.order(0).tolist() == pack.order(0).tolist() != pack.order(1).tolist()


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ("file,split,labels\nimages/0.png,train,rust\nimages/1.png,test,line\n", "rust"),
        ("file,split,labels\nimages/0.png,train,\nimages/99.png,test,\n", "99.png"),
        ("file,split,labels\nimages/0.png,train,\n", "test photos"),
        ("file,labels\nimages/0.png,\n", "split"),
    ],
)
def test_what_is_no_pack_is_refused(tmp_path, labels, said):
    folder = write_pack(tmp_path / "tiny", train=2, test=2)
    (folder / "labels.csv").write_text(labels)
    with pytest.raises(UnreadableData, match=said):
        read(str(folder), tmp_path)


@pytest.mark.parametrize("place", ["nowhere", "voc2012:nowhere", "coco2014:x", "nus-wide:x"])
def test_a_place_that_does_not_exist_is_refused(tmp_path, place):
    with pytest.raises(UnreadableData):
        read(place, tmp_path)


def voc(root, year, splits):
    """`splits`: for each split, photos with VOC's marks of person and of train."""
    names = "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse"
    names = [*names.split(), "motorbike", "person", "pottedplant", "sheep", "sofa", "train"]
    main = root / "VOCdevkit" / year / "ImageSets" / "Main"
    main.mkdir(parents=True)
    for split, photos in splits.items():
        for name in [*names, "tvmonitor"]:
            marks = {p: dict(zip(("person", "train"), m, strict=True)) for p, m in photos.items()}
            lines = [f"{p} {marked.get(name, -1):2d}" for p, marked in marks.items()]
            (main / f"{name}_{split}.txt").write_text("\n".join(lines) + "\n")
        for name in photos:
            photo(root / "VOCdevkit" / year / "JPEGImages" / f"{name}.jpg")


@pytest.mark.parametrize("below", ["", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_voc_2012_learns_train_and_scores_val(tmp_path, below):
    train = {"2008_2": (1, -1), "2008_1": (0, 1), "2008_3": (0, -1)}
    voc(tmp_path, "VOC2012", {"train": train, "val": {"2009_1": (1, 0)}})
    pack = read(f"voc2012:{tmp_path / below}", tmp_path)
    # The photo with nothing but difficult objects is left out, the others are sorted.
    assert [file.stem for file in pack.files] == ["2008_1", "2008_2", "2009_1"]
    assert pack.test.tolist() == [False, False, True]
    keys = [spec.key for spec in pack.specs]
    person, train = keys.index("person"), keys.index("train")
    assert pack.labels[:, person].tolist() == [0, 1, 1]
    assert pack.labels[:, train].tolist() == [1, 0, 0]
    assert np.argwhere(pack.doubted).tolist() == [[0, person], [2, train]]
    assert pack.labels.shape == (3, 20)
    assert pack.labels.sum() == 4 - 1
    assert len(pack.specs[0].prompts) == 80
    assert "a bad photo of a potted plant." in pack.specs[keys.index("pottedplant")].prompts


def test_voc_2007_learns_trainval_and_scores_test(tmp_path):
    voc(tmp_path, "VOC2007", {"trainval": {"000005": (1, 1)}, "test": {"000001": (1, -1)}})
    pack = read(f"voc2007:{tmp_path}", tmp_path)
    assert [file.stem for file in pack.files] == ["000005", "000001"]
    assert pack.test.tolist() == [False, True]


def test_coco_leaves_out_photos_without_objects_and_sorts_ids_as_text(tmp_path):
    categories = [{"id": 1, "name": "person"}, {"id": 90, "name": "toothbrush"}]
    objects = {"train2014": [(9, 90), (9, 90), (25, 1)], "val2014": [(42, 90)]}
    for split, pairs in objects.items():
        images = [{"id": i, "file_name": f"COCO_{split}_{i:012d}.jpg"} for i in (9, 25, 42, 64)]
        annotations = [{"image_id": i, "category_id": c, "iscrowd": 0} for i, c in pairs]
        document = {"images": images, "annotations": annotations, "categories": categories}
        (tmp_path / "annotations").mkdir(exist_ok=True)
        (tmp_path / "annotations" / f"instances_{split}.json").write_text(json.dumps(document))
        for image in images:
            photo(tmp_path / split / image["file_name"])
    pack = read(f"coco2014:{tmp_path}", tmp_path)
    assert [int(file.stem[-12:]) for file in pack.files] == [25, 9, 42]
    assert pack.labels.tolist() == [[1, 0], [0, 1], [0, 1]]
    assert pack.test.tolist() == [False, False, True]
    # Seed 0 is the published draw: RandomState(1), a permutation of the train photos in order.
    expected = np.random.RandomState(1).permutation(2).tolist()
    assert pack.order(0).tolist() == expected


def test_nus_wide_skips_photos_that_flickr_lost(tmp_path):
    truth = tmp_path / "Groundtruth" / "TrainTestLabels"
    truth.mkdir(parents=True)
    (tmp_path / "ImageList").mkdir()
    listed = {"Train": ["actor\\0001_1.jpg", "zoo\\0002_2.jpg"], "Test": ["zoo\\0003_3.jpg"]}
    labels = {
        "airport": {"Train": "1\n0\n", "Test": "0\n"},
        "zebra": {"Train": "0\n1", "Test": "1"},
    }
    for split, names in listed.items():
        (tmp_path / "ImageList" / f"{split}Imagelist.txt").write_text("\n".join(names) + "\n")
        for concept, columns in labels.items():
            (truth / f"Labels_{concept}_{split}.txt").write_text(columns[split])
    photo(tmp_path / "Flickr" / "zoo" / "0002_2.jpg")
    photo(tmp_path / "Flickr" / "zoo" / "0003_3.jpg")
    pack = read(f"nus-wide:{tmp_path}", tmp_path)
    assert [spec.key for spec in pack.specs] == ["airport", "zebra"]
    assert [file.name for file in pack.files] == ["0002_2.jpg", "0003_3.jpg"]
    assert pack.labels.tolist() == [[0, 1], [0, 1]]
    assert pack.test.tolist() == [False, True]
    for concept in labels:
        (truth / f"Labels_{concept}_Test.txt").write_text("1\n0\n")
    with pytest.raises(UnreadableData, match="1 photos are listed, 2 have labels"):
        read(f"nus-wide:{tmp_path}", tmp_path)
