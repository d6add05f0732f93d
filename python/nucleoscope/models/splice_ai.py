"""SpliceAI-10k (Jaganathan et al. 2019): splice sites at every base, from 5 kb on either side."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nucleoscope.models.layers import KERAS_EPS, Crop, Residual

GROUPS = ((11, 1), (11, 4), (21, 10), (41, 25))  # taps, dilation
SMALL = ((5, 1), (5, 2), (7, 3))


class SpliceAI(nn.Module):
    """Probabilities of [neither, acceptor, donor] on the strand that is given.

    Input: one-hot (N, 4, L + 10000), alphabet ACGT, N a column of zeros. Output: (N, 3, L), a softmax at each
    base; attribute log-odds. One member of the published five, whose probabilities are averaged: give a list
    of models.

    32 channels; sixteen residual units of twice BatchNorm, ReLU and convolution: four each of 11 taps, 11 at
    dilation 4, 21 at 10, 41 at 25. What goes in and what each four units give is summed through 1x1
    convolutions, cropped by 5,000 on either side, and brought to three channels. Receptive field 10,001,
    stride 1, nothing global: a base's window grows to 10 kb; 696,739 parameters, and 2,048 statistics.

    Source: Jaganathan et al., Cell 176:535 (2019); written from the graph of the published files, whose code may
    not be changed (PolyForm Strict) and whose weights are not for commercial use. CI-SpliceAI (Strauch et
    al. 2022, CC BY 4.0) is the same graph. BatchNorm's eps is Keras', 1e-3. Its published delta scores
    are rounded to 0.01.
    """

    alphabet = "ACGT"

    def __init__(self, *, channels: int | None = None, small: bool = False) -> None:
        super().__init__()
        groups, units = (SMALL, 1) if small else (GROUPS, 4)
        width = channels or (6 if small else 32)
        context = sum(units * 2 * (taps - 1) * dilation for taps, dilation in groups)
        self.length = context + (20 if small else 5000)
        self.first, self.skip = nn.Conv1d(4, width, 1), nn.Conv1d(width, width, 1)
        self.groups = nn.ModuleList(
            nn.Sequential(*(unit(width, taps, dilation) for _ in range(units)))
            for taps, dilation in groups
        )
        self.joins = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in groups)
        self.crop = Crop(context // 2)
        self.last = nn.Conv1d(width, 3, 1)

    def logits(self, x: Tensor) -> Tensor:  # [N, 4, L + context] -> [N, 3, L]
        """What the softmax is taken of."""
        h = self.first(x)
        total = self.skip(h)
        for group, join in zip(self.groups, self.joins, strict=True):
            h = group(h)
            total = total + join(h)
        made: Tensor = self.last(self.crop(total))
        return made

    def forward(self, x: Tensor) -> Tensor:  # [N, 4, L + context] -> [N, 3, L]
        return torch.softmax(self.logits(x), 1)


def unit(width: int, taps: int, dilation: int) -> Residual:
    """Twice BatchNorm, ReLU, convolution, added to what came in."""
    layers: list[nn.Module] = []
    for _ in range(2):
        layers += [nn.BatchNorm1d(width, eps=KERAS_EPS), nn.ReLU()]
        padding = dilation * (taps // 2)
        layers += [nn.Conv1d(width, width, taps, dilation=dilation, padding=padding)]
    return Residual(*layers)
