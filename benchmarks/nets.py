"""The networks that are timed, at their published geometry, with random weights.

Trained ReLU networks have more exact zeros than random ones, which the engine skips: these times are its
worse case.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Basset(nn.Module):
    """Basset (Kelley et al. 2016): [N, 4, L] -> 164 DNase probabilities."""

    def __init__(self, length: int = 600) -> None:
        super().__init__()
        widths, kernels = (4, 300, 200, 200), (19, 11, 7)
        self.convs = nn.ModuleList(
            nn.Conv1d(a, b, k) for a, b, k in zip(widths[:-1], widths[1:], kernels, strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in widths[1:])
        cells = length
        for kernel, pool in zip(kernels, (3, 4, 4), strict=True):
            cells = (cells - kernel + 1) // pool
        self.head = _head(200 * cells, 1000, 164)

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm, pool in zip(self.convs, self.norms, (3, 4, 4), strict=True):
            x = F.max_pool1d(F.relu(norm(conv(x))), pool)
        made: Tensor = self.head(x.flatten(1))
        return made


class FactorizedBasset(nn.Module):
    """Factorized Basset (Wnuk et al. 2019): each wide kernel as a chain of narrow ones."""

    BLOCKS = (
        (((48, 3), (64, 3), (100, 3), (150, 7), (300, 7)), 3),
        (((200, 7), (200, 3), (200, 3)), 4),
        (((200, 7),), 4),
    )

    def __init__(self, length: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        wide, cells = 4, length
        for convs, pool in self.BLOCKS:
            for channels, kernel in convs:
                layers += [nn.Conv1d(wide, channels, kernel, padding=kernel // 2)]
                layers += [nn.BatchNorm1d(channels), nn.ReLU()]
                wide = channels
            layers.append(nn.MaxPool1d(pool))
            cells //= pool
        self.tower = nn.Sequential(*layers)
        self.head = _head(wide * cells, 1000, 164)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.head(self.tower(x).flatten(1))
        return made


class Beluga(nn.Module):
    """Beluga (Zhou et al. 2018): [N, 4, 2000] -> 2,002 chromatin features."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        wide = 4
        for channels, pool in ((320, 4), (480, 4), (640, 0)):
            for _ in range(2):
                layers += [nn.Conv1d(wide, channels, 8), nn.ReLU()]
                wide = channels
            layers += [nn.MaxPool1d(pool)] if pool else []
        self.tower = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Linear(67840, 2003), nn.ReLU(), nn.Linear(2003, 2002), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.head(self.tower(x).flatten(1))
        return made


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


class SpliceNet10k(nn.Module):
    """SpliceAI-10k's geometry (Jaganathan et al. 2019): [N, 4, L + 10000] -> [N, 3, L]."""

    GROUPS = ((11, 1), (11, 4), (21, 10), (41, 25))

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        self.first, self.skip = nn.Conv1d(4, channels, 1), nn.Conv1d(channels, channels, 1)
        self.groups = nn.ModuleList(
            nn.ModuleList(_unit(channels, kernel, dilation) for _ in range(4))
            for kernel, dilation in self.GROUPS
        )
        self.joins = nn.ModuleList(nn.Conv1d(channels, channels, 1) for _ in self.GROUPS)
        self.last = nn.Conv1d(channels, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        skip = self.skip(x)
        for units, join in zip(self.groups, self.joins, strict=True):
            for unit in units:  # type: ignore[union-attr]
                x = x + unit(x)
            skip = skip + join(x)
        return F.softmax(self.last(skip[:, :, 5000:-5000]), 1)


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


def _head(wide: int, hidden: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (wide, hidden):
        layers += [nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(0.3)]
    return nn.Sequential(*layers, nn.Linear(hidden, outputs), nn.Sigmoid())


def _unit(channels: int, kernel: int, dilation: int) -> nn.Sequential:
    def half() -> list[nn.Module]:
        conv = nn.Conv1d(channels, channels, kernel, dilation=dilation, padding="same")
        return [nn.BatchNorm1d(channels, eps=1e-3), nn.ReLU(), conv]

    return nn.Sequential(*half(), *half())
