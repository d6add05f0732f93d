"""Do larger scores mean larger effects?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from nucleoscope.evaluate.background import Background, without
from nucleoscope.evaluate.case import Case
from nucleoscope.evaluate.metrics.metric import at_least
from nucleoscope.evaluate.metrics.removal import places
from nucleoscope.evaluate.statistics import spearman, with_truth

ROUNDING = 1e-9  # of the largest answer: what a step may fall by and count as level


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
        length = case.data.length
        place = places(case, -case.scores)[:, None]
        counts = torch.linspace(0, length, self.steps + 1).round().unique()
        along = without(case, place >= counts[:, None], self.background)
        least = -ROUNDING * along.abs().amax(1, keepdim=True)
        return (along.diff(dim=1) >= least).all(1).double()


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

    def __post_init__(self) -> None:
        at_least("positions", self.positions, 3)

    def __call__(self, case: Case) -> Tensor:
        """[N], from -1 to 1."""
        X, length = case.data.X, case.data.length
        at = torch.linspace(0, length - 1, min(self.positions, length)).round().long()
        drawn = self.background.of(case)
        effects = torch.zeros(len(X), len(at), dtype=torch.float64)
        there = torch.arange(length) == at[:, None]  # [P, L]
        for k in range(drawn.shape[1]):
            edited = torch.where(there[:, None], drawn[:, k, None], X[:, None])
            asked = case.ask(edited.flatten(0, 1)).view(effects.shape)
            effects += (asked - case.value[:, None]).square()
        return with_truth(case.scores[:, at].abs(), effects, spearman)
