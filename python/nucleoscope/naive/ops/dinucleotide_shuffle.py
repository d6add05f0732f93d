"""The meaning of ``dinucleotide_shuffle``."""

from collections.abc import Callable, Sequence
from itertools import groupby, pairwise

import torch
from torch import Tensor

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio: SplitMix64's step

Draw = Callable[[int], int]  # bound -> a whole number below it, all equally likely


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
                draw = _drawing(_mixed(stream + k * GOLDEN) + first)
                shuffled = _trail(run, alphabet, draw)
                out[row, k, first : first + len(run)] = torch.tensor(shuffled, dtype=torch.int8)
    every = torch.arange(alphabet, dtype=torch.int8, device=out.device)
    return (out[:, :, None] == every[:, None]).to(dtype)


def _runs(sequence: Sequence[int]) -> list[tuple[int, list[int]]]:
    """(where it begins, its letters) of every stretch without a -1."""
    stretches = groupby(enumerate(sequence), lambda each: each[1] >= 0)
    runs = [list(stretch) for letters, stretch in stretches if letters]
    return [(run[0][0], [letter for _, letter in run]) for run in runs]


def _trail(run: list[int], alphabet: int, draw: Draw) -> list[int]:
    """A run's pairs as the edges of a graph, walked once each from its first letter to its last."""
    follow = [[b for a, b in pairwise(run) if a == v] for v in range(alphabet)]
    exits = _tree(follow, run[-1], draw)
    for v, after in enumerate(follow):
        free = len(after)
        if v in exits:  # what is walked last is fixed, the others come in any order
            free -= 1
            after[exits[v]], after[free] = after[free], after[exits[v]]
        for i in range(free - 1, 0, -1):
            j = draw(i + 1)
            after[i], after[j] = after[j], after[i]
    walked = [run[0]]
    steps = [iter(after) for after in follow]
    for _ in run[1:]:
        walked.append(next(steps[walked[-1]]))
    return walked


def _tree(follow: list[list[int]], root: int, draw: Draw) -> dict[int, int]:
    """Wilson: by which edge each letter is left for the last time, uniform among trees to the root."""
    exits: dict[int, int] = {}
    joined = {root}
    for start, after in enumerate(follow):
        if not after or start in joined:
            continue
        at = start
        while at not in joined:  # what a loop in the walk wrote is written over
            exits[at] = draw(len(follow[at]))
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


def _drawing(stream: int) -> Draw:
    """Numbers of one stream, without bias (Lemire 2019)."""
    state = stream

    def draw(bound: int) -> int:
        nonlocal state
        while True:
            state += GOLDEN
            product = (_mixed(state) >> 32) * bound
            if product & 0xFFFFFFFF >= (1 << 32) % bound:
                return product >> 32

    return draw
