"""What is timed: a network, a length, the sites that are edited, and what the answer is read off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.nets import BPNetCounts, Gated, OneOutput
from nucleoscope.models import Basset, Beluga, FactorizedBasset, SpliceAI


@dataclass(frozen=True)
class Case:
    """A network, the length it is asked at, and how many sites around the middle (None: all)."""

    make: Callable[[], nn.Module]
    length: int
    sites: int | None = None
    peer: bool = True  # whether tangermeme's windowed path is timed beside it
    peer_batches: tuple[int, ...] = (32, 64, 128)  # for a large net its best elsewhere, 32, alone
    loop_sites: int = 16  # of the plain loop's sample
    judged: int = 16  # sites that are held to float64; the strongest is one more
    rounds: int = 3
    local: bool = True  # whether deltas go all the way: its structure can be counted
    bf16: bool = False  # whether precision="bf16" is timed beside it, where the processor has it
    tolerance: float = 1e-5  # of the largest effect, against float64
    compiled: bool = False  # whether the loop is timed under torch.compile as well: a minute

    @property
    def range(self) -> range:
        """The sites that are edited."""
        return self.middle(self.sites)

    def middle(self, sites: int | None) -> range:
        """So many sites around the middle; all of them for None."""
        first = 0 if sites is None else (self.length - sites) // 2
        return range(first, self.length - first if sites is None else first + sites)

    def ready(self) -> tuple[nn.Module, Tensor]:
        """The network in eval mode and one random sequence, the same each time.

        BatchNorm's statistics are those of random sequences: left at 0 and 1, a deep random net answers
        everything alike, and its effects drown in rounding.
        """
        torch.manual_seed(0)
        model = self.make()
        letters = torch.randint(0, 4, (5, self.length))
        X = F.one_hot(letters, 4).movedim(2, 1).float().contiguous()
        norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm1d)]
        for norm in norms:
            norm.momentum = None  # the plain average
        if norms:
            with torch.no_grad():
                model(X[1:])
        return model.eval(), X[:1]


CASES = {
    "Basset, 600 bp": Case(Basset, 600, compiled=True),
    "Basset, 2 kb": Case(lambda: Basset(2000), 2000),
    "Factorized Basset, 1 kb": Case(FactorizedBasset, 1000),
    "BPNet 64 filters, 2,114 bp, counts": Case(BPNetCounts, 2114, compiled=True),
    "ChromBPNet 512 filters, 2,114 bp, counts": Case(
        lambda: BPNetCounts(512),
        2114,
        96,
        peer_batches=(32,),
        loop_sites=2,
        judged=3,
        bf16=True,
    ),
    "Beluga, 2 kb": Case(Beluga, 2000, peer_batches=(32,), loop_sites=4, judged=3),
    "SpliceAI-10k, 15 kb, one output": Case(
        lambda: OneOutput(SpliceAI()),
        15000,
        192,
        peer_batches=(32,),
        loop_sites=4,
        judged=3,
    ),
    "BPNet 64 filters, 100 kb": Case(
        BPNetCounts, 100_000, 4096, peer=False, loop_sites=2, judged=3
    ),
    "squeeze-excitation, 1 kb": Case(Gated, 1000, 128, peer=False, local=False, tolerance=1e-3),
}
