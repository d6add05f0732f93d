"""Do larger scores mean larger effects?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from nucleoscope.evaluate.background import Background, Walk, as_numbers, blocks
from nucleoscope.evaluate.case import Case
from nucleoscope.evaluate.metrics.metric import at_least
from nucleoscope.evaluate.metrics.removal import turns
from nucleoscope.evaluate.statistics import spearman, with_truth

LEVEL = 1e-9  # of the largest answer so far: what a step may fall by at least and count as level


@dataclass(frozen=True)
class Monotonicity:
    """Whether the answer never falls while positions come into the background, least score first: 1 or 0.

    steps: how many times a part of the positions comes. Ties come in an order drawn from the seed.

    Source: Arya et al. 2019 (arXiv 1909.03012).
    """

    steps: int = 16
    background: Background = field(default_factory=Background)
    name: ClassVar[str] = "monotonicity"
    category: ClassVar[str] = "faithfulness"
    higher_is_better: ClassVar[bool] = True

    def __post_init__(self) -> None:
        at_least("steps", self.steps, 1)

    def __call__(self, case: Case) -> Tensor:
        """[N], 1 or 0."""
        drawn, order = self.background.of(case), turns(case, case.scores)
        ends = case.data.X[:, None].expand_as(drawn)
        counts = torch.linspace(0, case.data.length, self.steps + 1).round().unique().long()
        level = max(LEVEL, case.rounding)
        made = []
        for rows in blocks(drawn):
            walk = Walk(case, drawn[rows], ends[rows], order[rows])
            made.append(never_falls(walk, len(drawn[rows]), counts, level))
        return torch.cat(made)


def never_falls(walk: Walk, many: int, counts: Tensor, level: float) -> Tensor:  # [K + 1] -> [N]
    """1 for each of the walk's `many` sequences whose answer never falls on the way, else 0.

    level: what a step may fall by, of the largest answer so far, and not have fallen.
    """
    still = torch.arange(many)  # whose answer has not fallen: no other is asked again
    before = torch.full((many,), -torch.inf, dtype=torch.float64)
    largest = torch.zeros(many, dtype=torch.float64)
    for count in counts.tolist():
        now = walk.to(count)
        largest = torch.maximum(largest, now.abs())
        kept = now >= before - level * largest
        before = now
        if kept.all():
            continue
        still, before, largest = still[kept], now[kept], largest[kept]
        if not len(still):
            break
        walk.keep(kept)
    return torch.zeros(many, dtype=torch.float64).index_fill_(0, still, 1.0)


@dataclass(frozen=True)
class MonotonicityCorrelation:
    """Spearman's correlation of |φ| with the mean square effect of replacing a position by itself.

    positions: how many are tried, evenly spaced; the draws of the background are averaged after squaring.
    0 where |φ| is the same everywhere, NaN where the effects are.

    Source: Nguyen and Martinez 2020 (arXiv 2007.07584).
    """

    positions: int = 64
    background: Background = field(default_factory=Background)
    name: ClassVar[str] = "monotonicity correlation"
    category: ClassVar[str] = "faithfulness"
    higher_is_better: ClassVar[bool] = True
    undefined: ClassVar[str] = "single positions have the same effect everywhere"

    def __post_init__(self) -> None:
        at_least("positions", self.positions, 3)

    def __call__(self, case: Case) -> Tensor:
        """[N], from -1 to 1."""
        drawn, length = self.background.of(case), case.data.length
        at = torch.linspace(0, length - 1, min(self.positions, length)).round().long()
        value, X = case.value, as_numbers(case.data.X)
        effects = torch.zeros(len(X), len(at), dtype=torch.float64)
        for k in range(drawn.shape[1]):
            edited = X.clone()
            for p, there in enumerate(at.tolist()):
                edited[:, :, there] = drawn[:, k, :, there]
                effects[:, p] += (case.ask(edited) - value).square()
                edited[:, :, there] = X[:, :, there]
        return with_truth(case.scores[:, at].abs(), effects, spearman)
