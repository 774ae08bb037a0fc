"""The device this process computes on. Nothing touches CUDA before the first call."""

from functools import lru_cache

import torch

from app.core.config import Settings


@lru_cache(maxsize=1)
def device_name() -> str:
    """`cuda` where there is a GPU, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def threads(settings: Settings) -> int | None:
    """How many threads PyTorch may use; None lets it choose."""
    return settings.torch_threads or None


def use_threads(settings: Settings) -> None:
    count = threads(settings)
    if count is not None:
        torch.set_num_threads(count)
