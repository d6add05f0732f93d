"""Shuffled sequences as columns: letters by the op, and every other column where it was."""

from __future__ import annotations

import torch
from torch import Tensor

from nucleoscope.ops.dinucleotide_shuffle import dinucleotide_shuffle
from nucleoscope.reading import Sequences

_MADE = (torch.int8, torch.float32, torch.float64)


def shuffles(sequences: Sequences, n: int, seed: int, dtype: torch.dtype) -> Tensor:
    """[N, n, A, L] on the CPU: n dinucleotide shuffles of each sequence."""
    letters = torch.from_numpy(sequences.letters)
    plain, odd = letters.to(torch.int8), None
    if len(sequences.ambiguous):
        odd = letters >= sequences.size
        plain[odd] = -1
    made = dinucleotide_shuffle(
        plain, n, sequences.size, seed, dtype if dtype in _MADE else torch.int8
    ).to(dtype)
    if odd is not None:
        made += (sequences.columns.cpu() * odd[:, None]).to(dtype)[:, None]
    return made
