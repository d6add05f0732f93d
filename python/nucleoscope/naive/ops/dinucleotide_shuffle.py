"""The meaning of ``dinucleotide_shuffle``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise
from math import prod

import torch
from torch import Tensor

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio: SplitMix64's step

AT_ONCE, NARROW = 4, 1 << 16  # numbers of one draw, where none is above the second


def dinucleotide_shuffle(
    letters: Tensor,  # [N, L] int8
    n: int,
    alphabet: int,
    seed: int,
    dtype: torch.dtype = torch.int8,
) -> Tensor:  # [N, n, A, L]
    """Each sequence in n other orders with the same dinucleotides, uniform among all of them."""
    out = letters[:, None].repeat(1, n, 1)
    for row, sequence in enumerate(letters.tolist()):
        stream = _hashed(sequence, seed & MASK)
        for first, run in _runs(sequence):
            for k in range(n):
                numbers = _Numbers(_mixed(stream + k * GOLDEN) + first)
                shuffled = _trail(run, alphabet, numbers)
                out[row, k, first : first + len(run)] = torch.tensor(shuffled, dtype=torch.int8)
    every = torch.arange(alphabet, dtype=torch.int8, device=out.device)
    return (out[:, :, None] == every[:, None]).to(dtype)


def _runs(sequence: Sequence[int]) -> list[tuple[int, list[int]]]:
    """(where it begins, its letters) of every stretch without a -1."""
    stretches = groupby(enumerate(sequence), lambda each: each[1] >= 0)
    runs = [list(stretch) for letters, stretch in stretches if letters]
    return [(run[0][0], [letter for _, letter in run]) for run in runs]


def _trail(run: list[int], alphabet: int, numbers: _Numbers) -> list[int]:
    """A run's pairs as the edges of a graph, walked once each from its first letter to its last."""
    follow = [[b for a, b in pairwise(run) if a == v] for v in range(alphabet)]
    exits = _tree(follow, run[-1], numbers)
    for v, after in enumerate(follow):
        free = len(after)
        if v in exits:  # what is walked last is fixed, the others come in any order
            free -= 1
            after[exits[v]], after[free] = after[free], after[exits[v]]
        while free > 1:
            for j in numbers.falling(free, AT_ONCE if AT_ONCE < free <= NARROW else 1):
                free -= 1
                after[free], after[j] = after[j], after[free]
    walked = [run[0]]
    steps = [iter(after) for after in follow]
    for _ in run[1:]:
        walked.append(next(steps[walked[-1]]))
    return walked


def _tree(follow: list[list[int]], root: int, numbers: _Numbers) -> dict[int, int]:
    """Wilson: by which edge each letter is left for the last time, uniform among trees to the root."""
    exits: dict[int, int] = {}
    joined = {root}
    for start, after in enumerate(follow):
        if not after or start in joined:
            continue
        at = start
        while at not in joined:  # what a loop in the walk wrote is written over
            exits[at] = numbers.falling(len(follow[at]), 1)[0]
            at = follow[at][exits[at]]
        at = start
        while at not in joined:
            joined.add(at)
            at = follow[at][exits[at]]
    return exits


def _mixed(value: int) -> int:
    """SplitMix64's mixing of 64 bits (Steele, Lea and Flood 2014)."""
    value &= MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def _hashed(sequence: Sequence[int], seed: int) -> int:
    """Seed and letters in 64 bits (FNV-1a)."""
    state = _mixed(seed)
    for letter in sequence:
        state = ((state ^ (letter + 1)) * 0x100000001B3) & MASK
    return _mixed(state)


class _Numbers:
    """A stream of random numbers, without bias."""

    def __init__(self, stream: int) -> None:
        self._state = stream

    def falling(self, bound: int, count: int) -> list[int]:
        """Numbers below bound, bound - 1, ..., all equally likely, of one draw.

        One by Lemire 2019 of 32 bits, several by Brackett-Rozinsky and Lemire 2024 of 64.
        """
        bits = 32 if count == 1 else 64
        bounds = range(bound, bound - count, -1)
        least = (1 << bits) % prod(bounds)
        while True:
            self._state += GOLDEN
            left, drawn = _mixed(self._state) >> (64 - bits), []
            for each in bounds:
                drawn.append((left * each) >> bits)
                left = (left * each) & ((1 << bits) - 1)
            if left >= least:
                return drawn
