"""Renders: the same under a seed, masks that agree with labels, captions that name them."""

import csv
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from worker.learning.contexts import find_contexts
from worker.learning.rendering import (
    BY_KEY,
    CATALOGUE,
    HELD_OUT,
    PACK_KINDS,
    Mixture,
    Scene,
    render,
    render_pack,
    render_planted_pack,
    render_surface,
    staging,
)
from worker.learning.rendering.boards import BOARD_KINDS, artwork, spoil
from worker.learning.rendering.captions import caption, hard_negative, prompt
from worker.learning.rendering.surface_defects import PAINTERS
from worker.learning.rendering.surfaces import MATERIALS


@pytest.mark.parametrize("mixture", [Mixture(boards=0), Mixture(boards=0, staged=1), Mixture(1.0)])
def test_a_seed_is_a_picture(mixture):
    for seed in range(5):
        first, again = (render(np.random.default_rng(seed), 96, mixture) for _ in range(2))
        assert np.array_equal(first.pixels, again.pixels)
        assert first.caption == again.caption
        assert first.kinds == again.kinds


def test_every_kind_of_pretraining_is_met_and_no_held_out_one():
    counts = Counter()
    for seed in range(600):
        counts.update(render(np.random.default_rng(seed), 64).kinds)
    assert set(counts) == {kind.key for kind in CATALOGUE} - HELD_OUT


def test_every_defect_of_the_catalogue_has_a_painter():
    painted = {kind.key for kind in CATALOGUE if kind.scene is Scene.SURFACE}
    assert painted == set(PAINTERS)
    assert {kind.key for kind in CATALOGUE if kind.scene is Scene.BOARD} == set(BOARD_KINDS)


@pytest.mark.parametrize("kind", sorted(PAINTERS))
def test_a_defect_changes_the_picture_inside_its_mask_most(kind):
    """Against the same scene without the defect, the change is concentrated in the mask."""
    seen, inside, outside = 0, [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        clean = MATERIALS["painted surface"][0](rng, 96)
        scene = clean.copy()
        mask = PAINTERS[kind](rng, scene, 1.0) > 0.3
        if not mask.any():
            continue
        seen += 1
        change = np.abs(scene - clean).mean(axis=2)
        inside.append(change[mask].mean())
        outside.append(change[~mask].mean())
    assert seen >= 8
    assert np.mean(inside) > 3 * np.mean(outside)


@pytest.mark.parametrize("kind", [kind for kind in BOARD_KINDS if kind != "missing_hole"])
def test_a_board_defect_adds_or_removes_copper_and_its_mask_says_where(kind):
    adds = kind in {"short", "spur", "island"}
    found = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        board = artwork(rng, 96, zoom=4)
        art = np.asarray(board.image)
        spoiled = spoil(rng, board, art, kind, scale=12)
        if spoiled is None:
            continue
        found += 1
        after, mask = spoiled
        assert np.array_equal(after != art, mask > 0)
        assert (after[mask > 0] > 127).all() if adds else (after[mask > 0] <= 127).all()
    assert found >= 8


def test_captions_name_every_kind_and_clean_ones_name_none():
    rng = np.random.default_rng(0)
    for _ in range(50):
        sentence = caption(rng, "steel", ("scratch", "rust"))
        for key in ("scratch", "rust"):
            assert any(phrase in sentence for phrase in BY_KEY[key].phrases)
        clean = caption(rng, "steel", ())
        assert not any(p in clean for kind in CATALOGUE for p in kind.phrases if p.startswith("a "))


def test_a_hard_negative_names_a_kind_that_is_absent():
    rng = np.random.default_rng(1)
    for _ in range(30):
        sentence = hard_negative(rng, "asphalt", ("crack", "cavity"))
        others = (k for k in CATALOGUE if k.key not in {"crack", "cavity"})
        assert any(phrase in sentence for kind in others for phrase in kind.phrases)


def test_prompts_use_the_words_of_their_kind():
    rng = np.random.default_rng(2)
    for kind in CATALOGUE:
        sentence = prompt(rng, kind.key)
        assert any(phrase in sentence for phrase in kind.phrases)


def test_a_pack_has_the_layout_that_kizu_imports(tmp_path):
    render_pack(tmp_path / "a", train=24, test=8, seed=3)
    render_pack(tmp_path / "b", train=24, test=8, seed=3)
    with (tmp_path / "a" / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert Counter(row["split"] for row in rows) == {"train": 24, "test": 8}
    labels = {label for row in rows for label in row["labels"].split("|") if label}
    assert labels <= set(PACK_KINDS)
    assert labels & HELD_OUT, "the demo must show something that pre-training never saw"
    phrases = (tmp_path / "a" / "classes.tsv").read_text(encoding="utf-8").splitlines()
    assert [line.split("\t")[0] for line in phrases] == ["label", *PACK_KINDS]
    for row in rows:
        one, other = (tmp_path / folder / row["file"] for folder in "ab")
        assert one.read_bytes() == other.read_bytes()
        with Image.open(one) as photo:
            assert photo.size == (256, 256)


@pytest.mark.parametrize("stage", [staging.as_part, staging.in_depth])
def test_a_staged_surface_leaves_room_and_takes_its_defects_along(stage):
    """A white surface that is defective everywhere: what is white is what the mask says."""
    white, everywhere = np.ones((96, 96, 3), np.float32), np.ones((96, 96), np.float32)
    further = {staging.as_part: [np.zeros_like(white)], staging.in_depth: []}[stage]
    for seed in range(20):
        rng = np.random.default_rng(seed)
        scene, masks = stage(rng, white, {"stain": everywhere}, *further)
        inside = masks["stain"] > 0.99
        assert 0.1 < inside.mean() < 0.95
        assert (scene[inside] > 0.98).all()
        assert (scene[masks["stain"] < 0.01] < 0.98).any(axis=-1).mean() > 0.9


def test_held_out_kinds_can_be_asked_for():
    shown = render_surface(np.random.default_rng(5), 96, sorted(HELD_OUT), surface="steel")
    assert set(shown.kinds) <= HELD_OUT
    assert shown.kinds


def test_a_board_with_every_defect_still_has_an_absent_kind():
    rng = np.random.default_rng(3)
    for _ in range(20):
        assert hard_negative(rng, "copper board", BOARD_KINDS)
        assert caption(rng, "copper board", BOARD_KINDS)


def test_a_planted_pack_says_which_kinds_belong_together(tmp_path):
    for folder in ("a", "b"):
        render_planted_pack(tmp_path / folder, train=200, test=0, seed=1, contexts=3)
    with (tmp_path / "a" / "contexts.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert Counter(row["context"] for row in rows) == {"0": 3, "1": 3, "2": 3}
    assert Counter(row["look"] for row in rows) == {"plain": 3, "faint": 6}
    with (tmp_path / "a" / "labels.csv").open(encoding="utf-8") as file:
        shown = [row["labels"].split("|") for row in csv.DictReader(file)]
    keys = [row["label"] for row in rows]
    labels = np.array([[key in found for key in keys] for found in shown], dtype=np.int8)
    planted = np.array([row["context"] for row in rows])
    found = np.array(find_contexts(labels, keys).assignment)
    assert np.array_equal(found[:, None] == found, planted[:, None] == planted)
    for name in ("labels.csv", "images/part-00007.jpg"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("contexts", [1, 6])
def test_there_are_kinds_for_so_many_contexts_only(tmp_path, contexts):
    with pytest.raises(ValueError, match="2 to 5"):
        render_planted_pack(tmp_path, train=1, test=0, seed=0, contexts=contexts)


def test_a_faint_defect_is_as_large_but_harder_to_see():
    clean, plain, faint = (
        render_surface(np.random.default_rng(2), 96, ("hole",), surface="glass", opacity=opacity)
        for opacity in ({"hole": 0.0}, None, {"hole": 0.2})
    )
    inside = plain.masks["hole"]
    assert np.array_equal(inside, faint.masks["hole"])

    def change(render):
        return np.abs(render.pixels[inside].astype(int) - clean.pixels[inside]).mean()

    assert 0 < change(faint) < change(plain) / 2
