"""Backbones: shapes, independence of photos, texts, and plain errors where weights lack."""

import copy

import pytest
import torch
from safetensors.torch import save_file

from worker.learning.backbone import (
    Backbone,
    UnsupportedBackbone,
    WeightsMissing,
    load_backbone,
    untrained,
)


@pytest.fixture(scope="module")
def small() -> Backbone:
    return load_backbone("kizu-small")


def test_kizu_small_gives_tokens_and_text_in_one_space(small):
    features = small.encode_image(torch.rand(2, 3, small.image_size, small.image_size))
    rows, columns = small.grid
    assert features.tokens.shape == (2, rows * columns, small.embed_dim)
    assert features.pooled.shape == (2, small.embed_dim)
    assert small.encode_text(["a scratch", "no defect", "傷"]).shape == (3, small.embed_dim)
    assert small.default_mode == "tune"


def test_kizu_small_takes_oblong_and_large_photos(small):
    assert small.encode_image(torch.rand(1, 3, 96, 200)).tokens.shape[1] == 12 * 25
    assert small.encode_image(torch.rand(1, 3, 256, 256)).tokens.shape[1] == 32 * 32


def test_photos_do_not_see_each_other(small):
    pixels = torch.rand(4, 3, 64, 64)
    order = torch.tensor([2, 0, 3, 1])
    with torch.no_grad():
        together = small.encode_image(pixels)
        permuted = small.encode_image(pixels[order])
        alone = small.encode_image(pixels[1:2])
    assert torch.allclose(together.tokens[order], permuted.tokens, atol=1e-4)
    assert torch.allclose(together.tokens[1:2], alone.tokens, atol=1e-4)


def test_texts_do_not_depend_on_their_company(small):
    with torch.no_grad():
        both = small.encode_text(["a crack", "a long sentence " * 40])
        alone = small.encode_text(["a crack"])
    assert torch.allclose(both[:1], alone, atol=1e-4)


def test_version_follows_the_weights_and_a_copy_is_its_own(small):
    assert load_backbone("kizu-small").version == small.version
    assert untrained(seed=1).version == untrained(seed=1).version
    assert untrained(seed=1).version != untrained(seed=2).version
    twin = copy.deepcopy(small)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert small.encode_text(["rust"]).abs().sum() > 0
    assert twin.encode_image(torch.rand(1, 3, 64, 64)).tokens.abs().sum() == 0


@pytest.mark.parametrize("architecture", ["RN50", "ViT-S-32-alt"])
def test_open_clip_towers_give_tokens_that_agree_with_their_own_pooling(architecture):
    backbone = untrained(architecture)
    rows, columns = backbone.grid
    pixels = torch.rand(1, 3, 150, 200)
    with torch.no_grad():
        features = backbone.encode_image(pixels)
        square = torch.nn.functional.interpolate(
            pixels, (backbone.image_size,) * 2, mode="bicubic", antialias=True
        )
        mean, std = (torch.tensor(v)[:, None, None] for v in (backbone.mean, backbone.std))
        own = backbone.model.encode_image((square - mean) / std)
    assert features.tokens.shape == (1, rows * columns, backbone.embed_dim)
    assert torch.allclose(features.pooled, own, atol=1e-4)


def test_a_local_file_of_another_architecture_is_refused(tmp_path):
    file = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(3)}, file)
    with pytest.raises(WeightsMissing, match="not of this architecture"):
        load_backbone("kizu-small", weights=file)


def test_missing_and_broken_files_say_so(tmp_path):
    with pytest.raises(WeightsMissing, match="there is no file"):
        load_backbone("ViT-B-32", weights=tmp_path / "none.safetensors")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not tensors at all")
    with pytest.raises(WeightsMissing, match="no safetensors file"):
        load_backbone("ViT-B-32", weights=broken)


def test_a_name_without_weights_lists_the_choices():
    with pytest.raises(WeightsMissing, match="laion2b_s34b_b88k"):
        load_backbone("ViT-B-16")
    with pytest.raises(WeightsMissing, match="no published weights"):
        load_backbone("ViT-B-16@nonsense")


def test_an_unknown_architecture_is_named():
    with pytest.raises(UnsupportedBackbone, match="no-such-model"):
        load_backbone("no-such-model@openai")


def test_a_tower_without_a_tokenizer_is_named():
    with pytest.raises(UnsupportedBackbone, match="transformers"):
        untrained("ViT-B-32-SigLIP2-256")


def test_weights_published_as_pickle_only_are_refused():
    with pytest.raises(WeightsMissing, match="not published as safetensors"):
        load_backbone("ViTamin-S@datacomp1b")


def test_weights_that_cannot_be_fetched_say_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsMissing, match="lack of internet"):
        load_backbone("ViT-B-16@laion2b_s34b_b88k")


def test_a_local_file_gives_the_same_backbone_under_its_own_name(tmp_path, small):
    file = tmp_path / "mine.safetensors"
    save_file({k: v.contiguous() for k, v in small.model.state_dict().items()}, file)
    mine = load_backbone("kizu-small", weights=file)
    assert mine.version == small.version
    assert load_backbone(mine.name).version == small.version
