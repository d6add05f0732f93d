"""The meaning of ``dinucleotide_shuffle``."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, groupby, pairwise

import torch
from torch import Tensor

MASK = (1 << 64) - 1
WORD = (1 << 32) - 1
GOLDEN = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio: SplitMix64's step


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
    pairs = Counter(pairwise(run))
    counts = [[pairs[v, a] for a in range(alphabet)] for v in range(alphabet)]
    exits = _tree(counts, run[-1], numbers)
    steps = []
    for v, urn in enumerate(counts):
        last = [exits[v]] if v in exits else []  # what is walked last is fixed, the others come
        for a in last:  # in any order
            urn[a] -= 1
        steps.append(iter([_drawn(urn, numbers) for _ in range(sum(urn))] + last))
    walked = [run[0]]
    for _ in run[1:]:
        walked.append(next(steps[walked[-1]]))
    return walked


def _tree(counts: list[list[int]], root: int, numbers: _Numbers) -> dict[int, int]:
    """Wilson: to which letter each is left for the last time, uniform among trees to the root."""
    exits: dict[int, int] = {}
    joined = {root}
    for start, after in enumerate(counts):
        if not any(after) or start in joined:
            continue
        at = start
        while at not in joined:  # what a loop in the walk wrote is written over
            exits[at] = _drawn(list(counts[at]), numbers)
            at = exits[at]
        at = start
        while at not in joined:
            joined.add(at)
            at = exits[at]
    return exits


def _drawn(urn: list[int], numbers: _Numbers) -> int:
    """A letter out of an urn that holds so many of each."""
    drawn = numbers.below(sum(urn))
    letter = bisect_right(list(accumulate(urn)), drawn)
    urn[letter] -= 1
    return letter


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


def _turned(value: int, bits: int) -> int:
    value &= WORD
    return (value << bits | value >> (32 - bits)) & WORD


class _Numbers:
    """A stream of random numbers: xoshiro128++ (Blackman and Vigna 2021)."""

    def __init__(self, stream: int) -> None:
        begun = [_mixed(stream + GOLDEN), _mixed(stream + 2 * GOLDEN)]
        self._state = [half for bits in begun for half in (bits & WORD, bits >> 32)]

    def below(self, bound: int) -> int:
        """A number below bound, all equally likely (Lemire 2019)."""
        while True:
            product = self._next() * bound
            if product & WORD >= (1 << 32) % bound:
                return product >> 32

    def _next(self) -> int:
        a, b, c, d = self._state
        made = (_turned(a + d, 7) + a) & WORD
        c, d = c ^ a, d ^ b
        self._state = [a ^ d, b ^ c, c ^ (b << 9 & WORD), _turned(d, 11)]
        return made
