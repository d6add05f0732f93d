"""Redundancy of the stretches of each sequence that stand out in its scores."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nucleoscope.diagnostics.coalitions import coalition_table
from nucleoscope.diagnostics.finding import Finding
from nucleoscope.diagnostics.redundancy import from_table

WIDE, REGIONS = 10, 4  # bases of a stretch that stands out, and how many of them


def of_strongest(
    model: nn.Module, X: Tensor, scores: Tensor, start: int, args: tuple[Tensor, ...], given: dict[str, Any]
) -> Finding:  # fmt: skip
    """Redundancy of the stretches that stand out, in each sequence its own."""
    found = [strongest(each, start) for each in scores.abs().double().cpu()]
    count = min(map(len, found))
    if count < 2:
        said = f"the scores cover no two stretches of {WIDE} bases."
        return Finding("redundancy", False, said, applies=False)
    found = [spans[:count] for spans in found]
    tables = [
        coalition_table(
            model, X[n : n + 1], spans, tuple(a[n : n + 1] for a in args), verify=0, **given
        )
        for n, spans in enumerate(found)
    ]
    return from_table(torch.cat(tables), found)


def strongest(scores: Tensor, start: int) -> list[tuple[int, int]]:
    """The stretches of one sequence that hold the largest scores [sites], apart from each other."""
    if len(scores) < 2 * WIDE:
        return []
    sums = scores.unfold(0, WIDE, 1).sum(1)
    spans: list[tuple[int, int]] = []
    for _ in range(REGIONS):
        at = int(sums.argmax())
        if sums[at] == -torch.inf:
            break
        spans.append((start + at, start + at + WIDE))
        sums[max(0, at - WIDE + 1) : at + WIDE] = -torch.inf
    return spans
