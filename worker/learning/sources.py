"""Where backbones come from: the one that ships with Kizu, open_clip's published weights, a file.

Names and files become a `Source`; building and running the model is `backbone.py`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from worker.learning import convnet

KIZU_SMALL = "kizu-small"
SHIPPED = Path(__file__).parent / "weights" / "kizu_small"
LICENSES = {
    "openai": "MIT",
    "laion": "MIT",
    "datacomp": "MIT",
    "commonpool": "MIT",
    "webli": "Apache-2.0",
    "metaclip": "CC-BY-NC-4.0",
    "dfn": "Apple (research)",
}


class WeightsMissing(Exception):
    """The weights are not where they should be, or are not weights of this architecture."""


class UnsupportedBackbone(Exception):
    """open_clip does not know the architecture, or it gives no patch tokens."""


@dataclass(frozen=True)
class Source:
    """Everything about a backbone except its tensors."""

    name: str
    architecture: str
    config: dict[str, Any]
    license: str
    default_mode: str  # "tune" or "frozen"
    any_size: bool = False
    file: Path | None = None
    tag: str | None = None
    vocabulary: Path | None = None
    quick_gelu: bool = False
    mean: tuple[float, ...] = OPENAI_DATASET_MEAN
    std: tuple[float, ...] = OPENAI_DATASET_STD


def resolve_source(name: str, weights: Path | str | None, *, with_weights: bool = True) -> Source:
    """The source that a name and weights mean; see `load_backbone`."""
    architecture, _, said = name.partition("@")
    weights = str(weights) if weights is not None else said or None
    if architecture == KIZU_SMALL:
        return _kizu_small(weights)
    config = open_clip.get_model_config(architecture)
    if config is None:
        raise UnsupportedBackbone(f"open_clip knows no model named {architecture}")
    if weights is None:
        if with_weights:
            raise WeightsMissing(_choices(architecture))
        return Source(architecture, architecture, config, "none", "frozen")
    if weights.endswith(".safetensors"):
        return Source(
            f"{architecture}@{weights}",
            architecture,
            config,
            "as the file's owner says",
            "frozen",
            file=Path(weights),
        )
    return _published(architecture, config, weights)


def read_weights(source: Source) -> dict[str, Tensor]:
    """Tensors by name. Raises `WeightsMissing`; reads nothing but safetensors."""
    file = source.file or _download(source)
    if not file.is_file():
        raise WeightsMissing(f"{source.name}: there is no file {file}")
    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise WeightsMissing(f"{source.name}: {file} is no safetensors file ({error})") from error


def _kizu_small(weights: str | None) -> Source:
    config_file = SHIPPED / "config.json"
    if KIZU_SMALL not in open_clip.list_models():
        open_clip.factory._MODEL_CONFIGS[KIZU_SMALL] = json.loads(config_file.read_text())
    return Source(
        name=KIZU_SMALL if weights is None else f"{KIZU_SMALL}@{weights}",
        architecture=KIZU_SMALL,
        config=json.loads(config_file.read_text()) | {"widths": list(convnet.WIDTHS)},
        license="Apache-2.0",
        default_mode="tune",
        any_size=True,
        file=SHIPPED / "model.safetensors" if weights is None else Path(weights),
        vocabulary=SHIPPED / "merges.txt.gz",
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
    )


def _published(architecture: str, config: dict[str, Any], tag: str) -> Source:
    published = open_clip.get_pretrained_cfg(architecture, tag)
    if not published:
        raise WeightsMissing(f"{tag} is no published weights. {_choices(architecture)}")
    known = (terms for start, terms in LICENSES.items() if tag.startswith(start))
    return Source(
        name=f"{architecture}@{tag}",
        architecture=architecture,
        config=config,
        license=next(known, "unknown: see the page of the weights"),
        default_mode="frozen",
        tag=tag,
        quick_gelu=bool(published.get("quick_gelu", False)),
        mean=tuple(published.get("mean") or OPENAI_DATASET_MEAN),
        std=tuple(published.get("std") or OPENAI_DATASET_STD),
    )


def _choices(architecture: str) -> str:
    tags = ", ".join(open_clip.list_pretrained_tags_by_model(architecture)) or "none"
    return f"Weights for {architecture}: a .safetensors file, or one of: {tags}"


def _download(source: Source) -> Path:
    """From the local cache, else from the internet."""
    published = open_clip.get_pretrained_cfg(source.architecture, source.tag)
    repository, _, _ = (published.get("hf_hub") or "").strip("/").partition("/open_clip")
    if repository.count("/") != 1:  # none, or one that names a file of another kind
        raise WeightsMissing(f"{source.name} is not published as safetensors; give a local file")
    try:
        return Path(hf_hub_download(repository, "open_clip_model.safetensors"))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise WeightsMissing(
            f"{source.name} could not be fetched, perhaps for lack of internet; download its "
            "safetensors file elsewhere and name it as weights"
        ) from error
