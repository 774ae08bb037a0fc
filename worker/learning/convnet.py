"""The image tower of kizu-small: a small residual network with fine tokens, known to timm by name.

It ends at a stride of 8, because defects are small, and looks wider through a coarse branch.
"""

from typing import Any

import torch
from timm.models import register_model
from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (16, 32, 64, 96)  # at strides 2, 4, 8 and 16
NAME = "kizu_convnet"


class Residual(nn.Module):
    """Two 3x3 convolutions around a shortcut: (B, C, H, W) to (B, D, H/stride, W/stride)."""

    def __init__(self, width_in: int, width_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width_out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width_out)
        self.conv2 = nn.Conv2d(width_out, width_out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width_out)
        same = stride == 1 and width_in == width_out
        self.shortcut = (
            nn.Identity() if same else nn.Conv2d(width_in, width_out, 1, stride, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        inner = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(inner + self.shortcut(x))


class ConvNet(nn.Module):
    """Features of stride 8, (B, 96, H/8, W/8); their mean where pooled. Any H and W will do."""

    num_features = WIDTHS[-1]
    default_cfg = {"pool_size": None}

    def __init__(self) -> None:
        super().__init__()
        first, second, third, last = WIDTHS
        self.stem = nn.Sequential(
            nn.Conv2d(3, first, 3, 2, 1, bias=False), nn.BatchNorm2d(first), nn.ReLU()
        )
        self.quarter = Residual(first, second, 2)
        self.eighth = nn.Sequential(Residual(second, third, 2), Residual(third, third))
        self.coarse = Residual(third, last, 2)
        self.fuse = nn.Conv2d(third, last, 1)
        self.mix = Residual(last, last)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """timm's way to take the classifier off; this network never has one."""

    def forward_features(self, x: Tensor) -> Tensor:
        fine = self.eighth(self.quarter(self.stem(x)))  # (B, 64, H/8, W/8)
        wide = F.interpolate(self.coarse(fine), size=fine.shape[-2:])  # (B, 96, H/8, W/8)
        features: Tensor = self.mix(self.fuse(fine) + wide)
        return features

    def forward_head(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


@register_model
def kizu_convnet(**_: Any) -> nn.Module:
    """timm's entry point; what timm passes along has no meaning for this network."""
    network = ConvNet()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if isinstance(module, Residual):
            # Zero: each block starts as its shortcut, which lets deep stacks learn from the start.
            nn.init.zeros_(module.norm2.weight)
    return network.to(memory_format=torch.channels_last)
