"""Small genomes and models for scans; in a module, so that worker processes can import it."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ODD = 1003  # no multiple of any stride


def bases(length: int, seed: int = 0) -> str:
    """Random bases."""
    return "".join(random.Random(seed).choices("ACGT", k=length))


CHR1 = bases(500) + "N" * 20 + bases(ODD - 520, 1)
GENOME = {"chr1": CHR1, "chr2": bases(77, 2).lower(), "../up": bases(130, 3)}


def write_fasta(path: Path, genome: dict[str, str] = GENOME) -> Path:
    """Lines of 60, as most files have."""
    lines = []
    for name, held in genome.items():
        lines += [f">{name} described", *(held[at : at + 60] for at in range(0, len(held), 60))]
    path.write_text("\n".join(lines) + "\n")
    return path


@cache
def pooled_net() -> nn.Module:
    """Local, with a stride product of 6 and paddings of every kind."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv1d(4, 6, 5, padding=2), nn.ReLU(), nn.MaxPool1d(3),
        nn.Conv1d(6, 5, 3, padding=2, dilation=2), nn.ReLU(),
        nn.Conv1d(5, 3, 4, stride=2, padding=1),
    ).eval()  # fmt: skip


@cache  # one object a test run, so that it is traced once
def dense_net(length: int) -> nn.Module:
    """Takes one length only, and depends on all of it."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv1d(4, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5 * (length - 2), 2)
    ).eval()


class Attending(nn.Module):
    """A convolution and a pool, and attention over all that they leave, which is the trunk."""

    def __init__(self, pooled: int = 2) -> None:
        super().__init__()
        self.pooled = pooled
        torch.manual_seed(0)
        self.conv, self.mix = nn.Conv1d(4, 8, 5, padding=2), nn.Linear(8, 8)
        self.out = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = F.max_pool1d(F.relu(self.conv(x)), self.pooled).transpose(1, 2)
        q = self.mix(h)
        h = h + F.scaled_dot_product_attention(q, q, h)
        made: Tensor = self.out(h).mean(1)
        return made


@cache
def reading_net() -> nn.Module:
    """The same without the pool: a token a base."""
    return Attending(1).eval()


@cache
def attending_net() -> nn.Module:
    """Of any length, with a trunk."""
    return Attending().eval()
