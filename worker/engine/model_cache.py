"""Models and backbones that this process keeps loaded, and local copies of weights.

The least recently used one leaves first. A model tuned whole brings a backbone of its own; frozen
and adapted ones share theirs.
"""

import os
import shutil
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TypeVar
from uuid import UUID, uuid4

from app.core.config import Settings
from app.core.errors import Conflict, NotFound
from app.core.storage import ObjectStore
from app.training.models import ModelVersion
from worker.engine.device import device_name
from worker.engine.feature_store import FeatureStore, tokens_folder
from worker.learning.backbone import Backbone, load_backbone
from worker.learning.card import ModelCard, UnknownFormat
from worker.learning.novelty import NOVELTY, Novelty
from worker.learning.predictor import CARD, WEIGHTS, Predictor
from worker.learning.sources import UnsupportedBackbone, WeightsMissing

LOADED = 2
LOCAL_COPIES = 8

Key = TypeVar("Key")
Value = TypeVar("Value")


class ModelCache:
    """`folder` holds the local copies; several processes may share it."""

    def __init__(self, folder: Path, *, device: str) -> None:
        self._folder = folder
        self._device = device
        self._backbones: OrderedDict[str, Backbone] = OrderedDict()
        self._predictors: OrderedDict[UUID, Predictor] = OrderedDict()

    def backbone(self, name: str) -> Backbone:
        """Raises `WeightsMissing` or `UnsupportedBackbone`."""
        return _kept(self._backbones, name, lambda: load_backbone(name, device=self._device))

    def predictor(self, store: ObjectStore, version: ModelVersion) -> Predictor:
        """Raises `Conflict` where the version's files are gone, of another build, or want a
        backbone that cannot be had."""
        try:
            return _kept(self._predictors, version.id, lambda: self._load(store, version))
        except (WeightsMissing, UnsupportedBackbone, UnknownFormat) as error:
            raise Conflict(
                f"Version {version.number} cannot be loaded: {error}. Train again, or make another "
                "version live."
            ) from error

    def novelty(self, store: ObjectStore, version: ModelVersion) -> Novelty | None:
        """What is known of the version's labelled photos; None where nothing was kept."""
        path = self._local_copy(store, version) / NOVELTY
        return Novelty.load(path) if path.exists() else None

    def _load(self, store: ObjectStore, version: ModelVersion) -> Predictor:
        folder = self._local_copy(store, version)
        card = ModelCard.read(folder / CARD)
        shared = None if card.brings_backbone else self.backbone(card.backbone)
        try:
            return Predictor.load(folder, backbone=shared, device=self._device)
        except ValueError as error:
            raise WeightsMissing(str(error)) from error

    def _local_copy(self, store: ObjectStore, version: ModelVersion) -> Path:
        folder = self._folder / str(version.id)
        if not folder.exists():
            self._download(store, version.weights_prefix, folder)
            self._remove_old_copies(keep=folder)
        os.utime(folder)
        return folder

    def _download(self, store: ObjectStore, prefix: str, folder: Path) -> None:
        part = folder.with_suffix(f".{uuid4().hex}.part")
        part.mkdir(parents=True)
        try:
            for name in (WEIGHTS, CARD):
                _fetch(store, f"{prefix}/{name}", part / name)
            if store.size(f"{prefix}/{NOVELTY}") is not None:
                _fetch(store, f"{prefix}/{NOVELTY}", part / NOVELTY)
            part.rename(folder)
        except NotFound as error:
            raise WeightsMissing("the model's files are gone from the store") from error
        except OSError:
            if not folder.exists():  # else another process was quicker
                raise
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def _remove_old_copies(self, *, keep: Path) -> None:
        copies = sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        for old in copies[LOCAL_COPIES:]:
            if old != keep:
                shutil.rmtree(old, ignore_errors=True)


def _fetch(store: ObjectStore, key: str, path: Path) -> None:
    with path.open("wb") as file:
        file.writelines(store.stream(key))


def _kept(cache: OrderedDict[Key, Value], key: Key, make: Callable[[], Value]) -> Value:
    if key not in cache:
        while len(cache) >= LOADED:
            cache.popitem(last=False)
        cache[key] = make()
    cache.move_to_end(key)
    return cache[key]


@lru_cache(maxsize=1)
def shared_models(data_dir: Path) -> ModelCache:
    """The one cache of models of this process."""
    return ModelCache(data_dir / "cache" / "models", device=device_name())


def shared_tokens(settings: Settings) -> FeatureStore:
    """The token store that all processes of this machine share."""
    return _token_store(tokens_folder(settings.data_dir), settings.token_store_bytes)


@lru_cache(maxsize=1)
def _token_store(folder: Path, budget_bytes: int) -> FeatureStore:
    return FeatureStore(folder, budget_bytes)
