"""Low-rank adapters (LoRA, Hu et al., ICLR 2022): how a backbone too large to train whole is tuned.

A linear map W of the image tower becomes W + alpha / rank * B A, and only A and B are trained. The
sum is a parametrization of the weight, not a layer beside it: attention hands its packed weights to
a function and would never call a layer.
"""

import copy
import math
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.utils import parametrize

from worker.learning.backbone import Backbone
from worker.learning.sources import UnsupportedBackbone

LARGE = 20_000_000  # parameters of an image tower


@dataclass(frozen=True)
class Adapters:
    """The rank of each update, and `alpha`: its weight times the rank."""

    rank: int
    alpha: float


class LowRank(nn.Module):
    """W (M, N) to W + alpha / rank * B A; `up` is B (M, rank), `down` is A (rank, N).

    B starts at zero, so that training starts from the backbone's own features.
    """

    def __init__(self, weight: Tensor, adapters: Adapters) -> None:
        super().__init__()
        rows, columns = weight.shape
        self.up = nn.Parameter(weight.new_zeros(rows, adapters.rank))
        self.down = nn.Parameter(weight.new_empty(adapters.rank, columns))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))
        self.scale = adapters.alpha / adapters.rank

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.scale * (self.up @ self.down)


def tunable(
    backbone: Backbone, adapters: Adapters | None, *, gradient_checkpointing: bool = False
) -> Backbone:
    """A copy to train: all of it, or only adapters in it.

    With gradient checkpointing, activations are computed again for the backward pass, not kept.
    Raises `UnsupportedBackbone` where the image tower does not know how.
    """
    copied = copy.deepcopy(backbone) if adapters is None else adapted(backbone, adapters)
    if gradient_checkpointing:
        copied.model.visual.set_grad_checkpointing(True)
        if not _is_checkpointed(copied):
            raise UnsupportedBackbone(f"{backbone.name} knows no gradient checkpointing")
    return copied


def adapted(backbone: Backbone, adapters: Adapters) -> Backbone:
    """`backbone` with adapters that change nothing yet; its own weights are shared, and frozen.

    Raises `UnsupportedBackbone` where adapters would reach less than half of the image tower.
    """
    if not is_adaptable(backbone):
        raise UnsupportedBackbone(f"{backbone.name} has too few linear maps for adapters")
    shared = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in backbone.parameters()}
    copied = copy.deepcopy(backbone, shared)
    for module, name in _linear_maps(copied.model.visual):
        low_rank = LowRank(getattr(module, name), adapters)
        parametrize.register_parametrization(module, name, low_rank)
    return copied


def is_large(backbone: Backbone) -> bool:
    return _size(backbone.model.visual) > LARGE


def is_adaptable(backbone: Backbone) -> bool:
    """Whether most of the image tower are linear maps, as in transformers."""
    tower = backbone.model.visual
    reached: int = sum(getattr(module, name).numel() for module, name in _linear_maps(tower))
    return 2 * reached >= _size(tower)


def adapter_state(backbone: Backbone) -> dict[str, Tensor]:
    """What training may change in an adapted backbone: adapters and buffers."""
    frozen = frozen_state(backbone)
    return {name: t for name, t in backbone.state_dict().items() if name not in frozen}


def frozen_state(backbone: Backbone) -> dict[str, Tensor]:
    """The parameters that an adapted backbone shares with the one it was made from."""
    added = {
        f"{prefix}.{name}"
        for prefix, module in backbone.named_modules()
        if isinstance(module, LowRank)
        for name, _ in module.named_parameters()
    }
    return {name: p.detach() for name, p in backbone.named_parameters() if name not in added}


def merged(backbone: Backbone) -> Backbone:
    """A copy with plain weights, to leave PyTorch with; without adapters a plain copy."""
    copied = copy.deepcopy(backbone)
    if _is_checkpointed(copied):
        copied.model.visual.set_grad_checkpointing(False)
    for module in list(copied.modules()):
        if parametrize.is_parametrized(module):
            _make_plain(module)
    return copied


def _make_plain(module: nn.Module) -> None:
    """What `remove_parametrizations` does, but for the class, which copies share with `module`."""
    names = list(module.parametrizations)  # type: ignore[arg-type]
    weights = {name: getattr(module, name).detach() for name in names}
    del module.parametrizations
    module.__class__ = parametrize.type_before_parametrizations(module)
    for name, weight in weights.items():
        module.register_parameter(name, nn.Parameter(weight))


def _linear_maps(tower: nn.Module) -> list[tuple[nn.Module, str]]:
    """Modules and the names of their weights: linear layers, and attention's packed projection."""
    found: list[tuple[nn.Module, str]] = []
    for module in tower.modules():
        if isinstance(module, nn.Linear):
            found.append((module, "weight"))
        elif isinstance(getattr(module, "in_proj_weight", None), Tensor):
            found.append((module, "in_proj_weight"))
    return found


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _is_checkpointed(backbone: Backbone) -> bool:
    return any(getattr(module, "grad_checkpointing", False) for module in backbone.modules())
