"""Do the scores of positions add up to what taking them away does, whichever are taken?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from nucleoscope.evaluate.background import Background, without
from nucleoscope.evaluate.case import Case
from nucleoscope.evaluate.metrics.metric import at_least
from nucleoscope.evaluate.statistics import constant, pearson


@dataclass(frozen=True)
class SensitivityN:
    """The correlation, over random sets S of n positions, of Σ_S φ and f(x) - f(x without S); mean over n.

    sizes: how many n, spaced evenly in their logarithm from 1 to `most` L; with a `step` they are step, 2 step,
    ... up to there; or `at` names them. subsets: sets of each size, the same for all sequences. A size at
    which either side is constant says nothing and is left out.
    But a map has 0 that is the same everywhere, or that no set tells from one, wherever effects differ: it
    foretells none of them. NaN where no effects differ. Attributions of an additive model give
    exactly 1 where they are measured from what replaces the bases: from equal parts with `Background("uniform")`,
    from N with "zeros". Against drawn letters (shuffles, by default) the draw itself is missing: less is found.

    Raises ValueError for sizes that the sequences have not got.

    Source: Ancona et al. 2018 (ICLR, arXiv 1711.06104).
    """

    sizes: int = 6
    subsets: int = 32
    at: tuple[int, ...] = ()
    background: Background = field(default_factory=Background)
    most: float = 0.8
    step: int | None = None
    name: ClassVar[str] = "sensitivity-n"
    category: ClassVar[str] = "faithfulness"
    higher_is_better: ClassVar[bool] = True
    undefined: ClassVar[str] = "no effects of sets of one size differ"

    def __post_init__(self) -> None:
        at_least("sizes", self.sizes, 1)
        at_least("subsets", self.subsets, 3)
        if self.step is not None:
            at_least("step", self.step, 1)
        if not 0 < self.most < 1:
            raise ValueError(f"most={self.most}: of the positions, between 0 and 1")

    def __call__(self, case: Case) -> Tensor:
        """[N], 1 where it is so."""
        found, differ = self._by_size(case)
        silent = found.isnan().all(0) & differ.any(0)
        return torch.where(silent, 0.0, found.nanmean(0))

    def by_size(self, case: Case) -> Tensor:
        """The correlation at each size, [sizes, N]."""
        return self._by_size(case)[0]

    def _by_size(self, case: Case) -> tuple[Tensor, Tensor]:
        """The correlation at each size, and whether effects differ there, [sizes, N]."""
        chosen, draws = self.chosen(case.data.length), case.draws()
        order = torch.rand(len(chosen), self.subsets, case.data.length, generator=draws).argsort(-1)
        taken = order < torch.tensor(chosen)[:, None, None]  # each row of `order` is a permutation
        effects = case.value[:, None] - without(case, taken.flatten(0, 1), self.background)
        sums = case.scores @ taken.flatten(0, 1).double().T  # [N, sizes * subsets]
        shape = (len(case.data), len(chosen), self.subsets)
        sums, effects = sums.view(shape), effects.view(shape)
        spread, rounded = effects.amax(2) - effects.amin(2), case.rounding * case.value.abs()
        differ = (spread > rounded[:, None]) & ~constant(effects)
        found = torch.where(constant(case.scores)[:, None], 0.0, pearson(sums, effects))
        return torch.where(differ, found, torch.nan).T, differ.T

    def chosen(self, length: int) -> list[int]:
        """The sizes of the sets, in sequences of this length."""
        if self.at:
            if not all(0 < n < length for n in self.at):
                raise ValueError(f"at={self.at}: sizes lie between 1 and {length - 1}")
            return sorted(set(self.at))
        top = max(1, int(self.most * length))
        if self.step is not None:
            if self.step > top:
                raise ValueError(
                    f"step={self.step}: sets hold at most {top} of {length} positions (most={self.most:g}); "
                    "take a smaller step, or a larger most"
                )
            return list(range(self.step, top + 1, self.step))
        even = torch.logspace(0, torch.tensor(float(top)).log10().item(), self.sizes)
        return sorted({min(top, max(1, round(float(n)))) for n in even})
