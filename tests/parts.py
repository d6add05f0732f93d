"""What the tests build nets from: a forward as a function, layers, sequences, lively weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Net(nn.Module):
    """A forward written as a function of (self, x, ...), with its parts by name."""

    def __init__(self, forward: Callable[..., Tensor], **parts: Any) -> None:
        super().__init__()
        self.body = forward
        for name, part in parts.items():
            setattr(self, name, part)
        self.eval()

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.body(self, *inputs)


def sequences(count: int, length: int, seed: int = 0, layout: str = "NCL") -> Tensor:
    """Random one-hot sequences, float32."""
    generator = torch.Generator().manual_seed(seed)
    letters = torch.randint(4, (count, length), generator=generator)
    one_hot = F.one_hot(letters, 4).float()
    return one_hot.transpose(1, 2).contiguous() if layout == "NCL" else one_hot


def conv(channels_in: int, channels_out: int, taps: int = 5, **settings: Any) -> nn.Conv1d:
    """A convolution that keeps the length, unless told otherwise."""
    settings.setdefault("padding", (taps - 1) * settings.get("dilation", 1) // 2)
    return nn.Conv1d(channels_in, channels_out, taps, **settings)


def lively(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module with norms that are not zeros and ones, in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.running_mean.uniform_(-0.5, 0.5, generator=generator)
            part.running_var.uniform_(0.3, 2.0, generator=generator)
        affine = isinstance(part, nn.modules.batchnorm._BatchNorm | nn.LayerNorm | nn.GroupNorm)
        if affine and part.weight is not None:
            with torch.no_grad():
                part.weight.uniform_(0.5, 1.5, generator=generator)
                part.bias.uniform_(-0.5, 0.5, generator=generator)
    return module.eval()


class AttentionPool(nn.Module):
    """Enformer's pool: cells of the length averaged with weights from a softmax of a 1x1 convolution.

    A length that cells do not divide is filled up, and what fills it is masked.
    """

    def __init__(self, channels: int, cell: int = 2) -> None:
        super().__init__()
        self.cell = cell
        self.logits = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        more = -x.shape[2] % self.cell
        cells = F.pad(x, (0, more)).unflatten(2, (-1, self.cell))
        logits = self.logits(cells)
        if more:
            mask = torch.arange(x.shape[2] + more, device=x.device) >= x.shape[2]
            logits = logits.masked_fill(mask.view(-1, self.cell), -torch.finfo(x.dtype).max)
        return (cells * logits.softmax(-1)).sum(-1)


class Residual(nn.Module):
    """x + f(x), cropped where f shortens the length."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        crop = (x.shape[-1] - y.shape[-1]) // 2
        return (x[..., crop:-crop] if crop else x) + y


class Lambda(nn.Module):
    """A function as a layer."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)
