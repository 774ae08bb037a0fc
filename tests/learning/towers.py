"""Tiny vision transformers with random weights, for tests of what large backbones need."""

import json
from pathlib import Path

import open_clip
from safetensors.torch import save_file

from worker.learning.backbone import Backbone, load_backbone, untrained

SIDE = 32
TINY, TINY_TIMM = "tiny-vit", "tiny-timm-vit"
TOWERS = {
    TINY: {"image_size": SIDE, "patch_size": 8, "width": 32, "head_width": 16, "layers": 2},
    TINY_TIMM: {
        "image_size": SIDE,
        "timm_model_name": "test_vit",
        "timm_model_pretrained": False,
        "timm_pool": "",
        "timm_proj": "linear",
    },
}
TEXT = {
    "embed_dim": 16,
    "text_cfg": {
        "context_length": 12,
        "vocab_size": 49408,
        "width": 16,
        "heads": 2,
        "layers": 1,
    },
}


def tiny(folder: Path, seed: int = 0, name: str = TINY) -> Backbone:
    """The tower loaded from a file of random weights in `folder`; open_clip knows it from now."""
    config = folder / f"{name}.json"
    if not config.exists():  # written before several processes read it
        config.write_text(json.dumps({**TEXT, "vision_cfg": TOWERS[name]}))
    open_clip.add_model_config(config)
    weights = folder / f"{name}-{seed}.safetensors"
    if not weights.exists():
        tensors = untrained(name, seed=seed).model.state_dict()
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, weights)
    return load_backbone(name, weights=weights)
