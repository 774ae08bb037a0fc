"""Tiny vision transformers with random weights, for tests of what large backbones need."""

import json
from pathlib import Path

import open_clip
from safetensors.torch import save_file

from worker.learning.backbone import Backbone, load_backbone, untrained

SIDE = 32
TINY = "tiny-vit"
CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {
        "image_size": SIDE,
        "patch_size": 8,
        "width": 32,
        "head_width": 16,
        "layers": 2,
    },
    "text_cfg": {
        "context_length": 12,
        "vocab_size": 49408,
        "width": 16,
        "heads": 2,
        "layers": 1,
    },
}


def tiny_name(folder: Path, seed: int = 0) -> str:
    """Make open_clip know the architecture; the name of a file of random weights for it."""
    config = folder / f"{TINY}.json"
    config.write_text(json.dumps(CONFIG))
    open_clip.add_model_config(config)
    weights = folder / f"weights-{seed}.safetensors"
    if not weights.exists():
        tensors = untrained(TINY, seed=seed).model.state_dict()
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, weights)
    return f"{TINY}@{weights}"


def tiny(folder: Path, seed: int = 0) -> Backbone:
    return load_backbone(tiny_name(folder, seed))
