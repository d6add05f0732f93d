"""What is measured on a GPU: the three jobs whose speed is promised, and tiny ones that prove the command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.nets import BPNetCounts
from nucleoscope.models import Basset


@dataclass(frozen=True)
class Job:
    """All substitutions of some sequences, and how much of it the slower sides do (then scaled)."""

    make: Callable[[], nn.Module]
    length: int
    sequences: int
    sites: int | None = None  # around the middle; None: all
    peer_sequences: int = 1  # of tangermeme's sample
    loop_sites: int = 64  # of the loops' sample, on one sequence
    batches: tuple[int, ...] = (256, 1024)  # of the loops and of tangermeme
    judged: int = 12  # sites that are held to float64

    @property
    def range(self) -> range:
        """The sites that are edited."""
        return self.middle(self.sites)

    def middle(self, sites: int | None) -> range:
        """So many sites around the middle; all of them for None."""
        many = self.length if sites is None else min(sites, self.length)
        first = (self.length - many) // 2
        return range(first, first + many)

    @property
    def edits(self) -> int:
        """Substitutions: three a site."""
        return 3 * len(self.range) * self.sequences

    def ready(self, device: torch.device) -> tuple[nn.Module, Tensor]:
        """The network, its BatchNorms at the statistics of random sequences, and the sequences."""
        torch.manual_seed(0)
        model = self.make()
        letters = torch.randint(0, 4, (max(self.sequences, 5), self.length))
        X = F.one_hot(letters, 4).movedim(2, 1).float().contiguous()
        norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm1d)]
        for norm in norms:
            norm.momentum = None  # the plain average
        if norms:
            with torch.no_grad():
                model(X[:5])
        return model.eval().to(device), X[: self.sequences].to(device)


JOBS = {
    "BPNet 64 filters, 2,114 bp, 320 sequences": Job(
        BPNetCounts, 2114, 320, peer_sequences=16, loop_sites=256
    ),
    "ChromBPNet 512 filters, 2,114 bp, 32 sequences": Job(
        lambda: BPNetCounts(512), 2114, 32, peer_sequences=2
    ),
    "Basset, 600 bp, 1 sequence": Job(Basset, 600, 1, loop_sites=600),
}

TINY = {
    "BPNet 8 filters, 120 bp, 3 sequences": Job(
        lambda: BPNetCounts(8, 3, 20), 120, 3, loop_sites=8, batches=(32,), judged=3
    ),
    "Basset, 600 bp, 1 sequence, 12 sites": replace(
        JOBS["Basset, 600 bp, 1 sequence"], sites=12, loop_sites=4, batches=(16,), judged=2
    ),
}
