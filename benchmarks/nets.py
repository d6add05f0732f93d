"""Networks that are timed beside those of nucleoscope.models, with random weights.

Trained ReLU networks have more exact zeros than random ones, which the engine skips: these times are its
worse case.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class BPNetCounts(nn.Module):
    """BPNet's body (Avsec et al. 2021, zero padded) and counts head: [N, 4, L] -> [N, 1]."""

    def __init__(self, filters: int = 64, layers: int = 8, trim: int = 520) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, filters, 21, padding=10)
        self.rest = nn.ModuleList(
            nn.Conv1d(filters, filters, 3, padding=2**i, dilation=2**i)
            for i in range(1, layers + 1)
        )
        self.counts = nn.Linear(filters, 1)
        self.trim = trim

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        for conv in self.rest:
            x = x + F.relu(conv(x))
        made: Tensor = self.counts(x[:, :, self.trim : -self.trim].mean(2))
        return made


class OneOutput(nn.Module):
    """One number of a net's output, as [N, 1]: [N, C, L] -> channel 1 in the middle."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.net(x)
        middle = made.shape[2] // 2
        return made[:, 1, middle : middle + 1]


class Gated(nn.Module):
    """A small residual net with squeeze-excitation, which ends locality in every block."""

    def __init__(self, channels: int = 64, blocks: int = 3) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, channels, 11, padding=5)
        self.convs = nn.ModuleList(
            nn.Conv1d(channels, channels, 5, padding=2) for _ in range(blocks)
        )
        self.gates = nn.ModuleList(nn.Linear(channels, channels) for _ in range(blocks))
        self.last = nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        for conv, gate in zip(self.convs, self.gates, strict=True):
            h = F.relu(conv(x))
            x = x + h * torch.sigmoid(gate(h.mean(2)))[:, :, None]
        made: Tensor = self.last(x.mean(2))
        return made
