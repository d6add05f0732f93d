"""Seqlets as they are defined: every span, every span inside it, the longest first."""

from __future__ import annotations

import torch
from torch import Tensor


def seqlets(
    X: Tensor,  # [N, L]
    threshold: float,
    *,
    min_length: int = 4,
    max_length: int = 25,
    bins: int = 1000,
) -> list[tuple[int, int, int, float]]:
    """(sequence, start, end, p-value) of the spans called, in the order in which they are.

    p[s, k]: the chance that k scores drawn from X are together at least as high as those at
    [s, s + k). A span qualifies if it and every span of min_length or more inside it have
    p < threshold.
    """
    low, high = X.double().min(), X.double().max()
    if low == high:
        return []
    binned = ((X.double() - low) / ((high - low) / (bins - 1))).floor().long().clamp(0, bins - 1)
    once = torch.bincount(binned.flatten(), minlength=bins).double() / X.numel()
    at_least = [
        torch.ones(1, dtype=torch.float64)
    ]  # [k][i]: the chance that k bins sum to i or more
    sums = torch.ones(1, dtype=torch.float64)
    for _ in range(max_length):
        longer = sums.new_zeros(len(sums) + bins - 1)
        for i, chance in enumerate(once):
            longer[i : i + len(sums)] += chance * sums
        sums = longer
        at_least.append(sums.flip(0).cumsum(0).flip(0))
    called = []
    for n, row in enumerate(binned):
        p = {
            (s, k): float(at_least[k][int(row[s : s + k].sum())])
            for k in range(min_length, max_length + 1)
            for s in range(len(row) - k + 1)
        }
        free = [True] * len(row)
        for k in range(max_length, min_length - 1, -1):
            order = sorted(
                (max(p[s, j] for j in range(min_length, k + 1)), s) for s in range(len(row) - k + 1)
            )
            for _, s in order:
                inner = (p[s + i, j] for j in range(min_length, k + 1) for i in range(k - j + 1))
                if all(free[s : s + k]) and all(each < threshold for each in inner):
                    called.append((n, s, s + k, p[s, k]))
                    free[s : s + k] = [False] * k
    return called
