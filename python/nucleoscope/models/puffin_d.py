"""Puffin-D (Dudnyk et al. 2024): transcription initiation at every base of 100 kb, by two U-Nets."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from nucleoscope.models.layers import Residual

TAPS = 17
DOWN = ((64, 1), (96, 4), (128, 4), (128, 5), (128, 5), (128, 5), (128, 2))  # channels, stride
SMALL = ((6, 1), (8, 2), (8, 3))


class PuffinD(nn.Module):
    """Initiation in the ten tracks of Puffin.

    Input: one-hot (N, 4, 100000), alphabet ACGT; a length that 4,000 divides. Output: (N, 10, L), ln(count + 1).

    Down by strided convolutions of 17 taps to 25 positions, up again by nearest upsampling, down and up once
    more, and what has the same scale is added. Behind each step two residual units (9 taps, twice the
    channels, SiLU, 1 tap). Receptive field: everything, stride 1; 19,524,874 parameters.

    Source: Dudnyk et al., Science 384:eadj0116 (2024). The published weights are for academic research only.
    """

    alphabet = "ACGT"

    def __init__(self, *, small: bool = False) -> None:
        super().__init__()
        steps = SMALL if small else DOWN
        self.length = 60 if small else 100_000
        widths, strides = zip(*steps, strict=True)
        entering = (4, *widths[:-1])
        self.down = nn.ModuleList(
            step(a, b, stride) for a, b, stride in zip(entering, widths, strides, strict=True)
        )
        self.down_again = nn.ModuleList(
            step(a, b, stride)
            for a, b, stride in zip(widths[:-1], widths[1:], strides[1:], strict=True)
        )
        back = list(zip(widths[:0:-1], widths[-2::-1], strides[:0:-1], strict=True))
        self.up = nn.ModuleList(step(a, b, up=stride) for a, b, stride in back)
        self.up_again = nn.ModuleList(step(a, b, up=stride) for a, b, stride in back)
        width = widths[0]
        self.head = nn.Sequential(
            nn.Conv1d(width, width, 1), nn.BatchNorm1d(width), nn.ReLU(), nn.Conv1d(width, 10, 1)
        )

    def forward(self, x: Tensor) -> Tensor:  # [N, 4, L] -> [N, 10, L]
        scales = []  # finest first
        for layer in self.down:
            x = layer(x)
            scales.append(x)
        x, scales = climb(x, self.up, scales)
        coarser = []
        for layer, scale in zip(self.down_again, scales[1:], strict=True):
            coarser.append(x)
            x = layer(x) + scale
        x, _ = climb(x, self.up_again, [*coarser, x])
        return F.softplus(self.head(x))


def climb(x: Tensor, layers: nn.ModuleList, scales: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """From the coarsest scale to the finest, adding what has the same scale; and what was there at each."""
    met = [x]
    for layer, scale in zip(layers, scales[-2::-1], strict=True):
        x = layer(x) + scale
        met.append(x)
    return x, met[::-1]


def step(entering: int, width: int, stride: int = 1, up: int = 1) -> nn.Sequential:
    """A convolution that changes the scale, BatchNorm, two residual units."""
    layers: list[nn.Module] = [nn.Upsample(scale_factor=float(up))] if up > 1 else []
    layers += [nn.Conv1d(entering, width, TAPS, stride=stride, padding=TAPS // 2)]
    return nn.Sequential(*layers, nn.BatchNorm1d(width), unit(width), unit(width))


def unit(width: int) -> Residual:
    """9 taps to twice the channels, SiLU, and back by 1 tap."""
    return Residual(
        nn.Conv1d(width, 2 * width, 9, padding=4, bias=False), nn.BatchNorm1d(2 * width), nn.SiLU(),
        nn.Conv1d(2 * width, width, 1, bias=False), nn.BatchNorm1d(width),
    )  # fmt: skip
