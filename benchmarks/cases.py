"""The networks that are timed, at their published geometry, random weights: cost does not depend on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Basset(nn.Module):
    """Basset (Kelley et al. 2016): [N, 4, 600] -> 164 DNase probabilities."""

    def __init__(self) -> None:
        super().__init__()
        widths, kernels = (4, 300, 200, 200), (19, 11, 7)
        self.convs = nn.ModuleList(
            nn.Conv1d(a, b, k) for a, b, k in zip(widths[:-1], widths[1:], kernels, strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in widths[1:])
        layers: list[nn.Module] = []
        for wide in (2000, 1000):
            layers += [nn.Linear(wide, 1000), nn.BatchNorm1d(1000), nn.ReLU(), nn.Dropout(0.3)]
        self.head = nn.Sequential(*layers, nn.Linear(1000, 164), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm, pool in zip(self.convs, self.norms, (3, 4, 4), strict=True):
            x = F.max_pool1d(F.relu(norm(conv(x))), pool)
        made: Tensor = self.head(x.flatten(1))
        return made


class BPNetCounts(nn.Module):
    """BPNet's body (Avsec et al. 2021, zero padded) and counts head: [N, 4, 2114] -> [N, 1]."""

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


@dataclass(frozen=True)
class Case:
    """A network and the length it is asked at."""

    make: Callable[[], nn.Module]
    length: int

    def ready(self) -> tuple[nn.Module, Tensor]:
        """The network in eval mode and one random sequence, the same each time."""
        torch.manual_seed(0)
        model = self.make().eval()
        letters = torch.randint(0, 4, (1, self.length))
        return model, F.one_hot(letters, 4).movedim(2, 1).float().contiguous()


CASES = {
    "Basset, 600 bp": Case(Basset, 600),
    "BPNet 64 filters, 2,114 bp, counts": Case(BPNetCounts, 2114),
}
