"""Layers that several architectures of the field share, each as its papers define it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KERAS_EPS = 1e-3  # Keras' BatchNorm; torch's and Sonnet's is 1e-5


class Residual(nn.Module):
    """x + f(x), x cropped evenly where f shortens the length.

    Equivalent to::

        x[..., cut : length - cut] + f(x)
    """

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.layers(x)
        return cropped(x, made.shape[-1]) + made


class SigmoidGelu(nn.Module):
    """x sigmoid(1.702 x): the GELU of Enformer, neither the erf form nor the tanh form."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class SamePad(nn.Module):
    """TensorFlow's "same" padding before a layer of so many taps and such a stride.

    What is missing is split, the odd one to the right; pools are filled up with -inf.

    Equivalent to::

        F.pad(x, (missing // 2, missing - missing // 2), value=value)
    """

    def __init__(self, taps: int, stride: int = 1, value: float = 0.0) -> None:
        super().__init__()
        self.taps, self.stride, self.value = taps, stride, value

    def forward(self, x: Tensor) -> Tensor:
        made = -(-x.shape[-1] // self.stride)
        missing = max((made - 1) * self.stride + self.taps - x.shape[-1], 0)
        return F.pad(x, (missing // 2, missing - missing // 2), value=self.value)


class Crop(nn.Module):
    """So many positions off either end of the last axis."""

    def __init__(self, each: int) -> None:
        super().__init__()
        self.each = each

    def forward(self, x: Tensor) -> Tensor:
        return x[..., self.each : x.shape[-1] - self.each]


class Swap(nn.Module):
    """[N, C, L] <-> [N, L, C]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)


def cropped(x: Tensor, length: int) -> Tensor:
    """The middle of the last axis, so long."""
    cut = (x.shape[-1] - length) // 2
    return x[..., cut : cut + length] if cut else x


def check_track(name: str, track: Tensor, channels: int, positions: int) -> None:
    """Raise ValueError for a further input that is not [N, channels, positions]: pools take any length."""
    shape = tuple(track.shape)
    if shape[1:] == (channels, positions):
        return
    why = ""
    if len(shape) == 3:
        other = f"it has {shape[1]} of {channels} channels"
        why = f": {other if shape[1] != channels else 'is it of another resolution?'}"
    raise ValueError(
        f"{name}: shape {shape}, where [N, {channels}, {positions}] belongs to this sequence{why}"
    )


def dense_head(wide: int, hidden: int, outputs: int, layers: int = 2) -> list[nn.Module]:
    """Basset's: linear, BatchNorm, ReLU and dropout, so many times, then linear and sigmoid."""
    made: list[nn.Module] = []
    for width in (wide, *(hidden,) * (layers - 1)):
        made += [nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(0.3)]
    return [*made, nn.Linear(hidden, outputs), nn.Sigmoid()]
