"""What is left of the answer when the most important positions go first, or come first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from nucleoscope.evaluate.background import Background, Walk, as_asked, blocks
from nucleoscope.evaluate.case import Case
from nucleoscope.evaluate.metrics.change import TOO_LITTLE, enough
from nucleoscope.evaluate.metrics.metric import at_least


@dataclass(frozen=True)
class _Removal:
    """steps: how many times a part of the positions goes; background: what comes in their place; patch: neighbours
    that go together, by their mean score.

    A sequence does next to nothing where f(x) - E f(b) is below a twentieth of how far its answers reach
    (`change`): there draws, rounding and parts that cancel decide what a share of it is.
    """

    steps: int = 16
    background: Background = field(default_factory=Background)
    patch: int = 1
    undefined: ClassVar[str] = TOO_LITTLE

    def __post_init__(self) -> None:
        at_least("steps", self.steps, 1)
        at_least("patch", self.patch, 1)

    def curves(self, case: Case, *orders: str) -> tuple[Tensor, list[Tensor]]:
        """Shares of the positions [K + 1], and for each order what is left of f(x) - f(b), [N, K + 1].

        "deletion" takes the most important first, "insertion" leaves them, "least" takes the least important
        first. NaN where the sequence does next to nothing. Importance is the score, with its sign turned round
        where the sequence lowers the answer; ties go in an order drawn from the seed.
        """
        length, X = case.data.length, case.data.X[:, None]
        counts = torch.linspace(0, length, self.steps + 1).round().unique().long()
        drawn = self.background.of(case)
        base = as_asked(case, drawn).mean(1)
        change = case.value - base
        does = enough(case, change, self.background.kind)
        order = turns(
            case, shared(case.scores, self.patch) * torch.where(change < 0, 1.0, -1.0)[:, None]
        )
        walks = {
            "deletion": (X, drawn, order),
            "insertion": (drawn, X, order),
            "least": (X, drawn, order.flip(1)),
        }
        made = []
        for start, end, way in (walks[name] for name in orders):
            end = end.expand(-1, drawn.shape[1], -1, -1)
            parts = [
                walked(Walk(case, start[rows], end[rows], way[rows]), counts)
                for rows in blocks(drawn)
            ]
            left = torch.cat(parts) - base[:, None]
            made.append(torch.where(does[:, None], left / change[:, None], torch.nan))
        return counts.double() / length, made


def shared(scores: Tensor, patch: int) -> Tensor:  # [N, L] -> [N, L]
    """The mean score of the patch that a position lies in; the last patch may be shorter."""
    if patch == 1:
        return scores
    of = torch.arange(scores.shape[1]) // patch
    total = scores.new_zeros(len(scores), int(of[-1]) + 1).index_add(1, of, scores)
    return (total / of.bincount())[:, of]


def walked(walk: Walk, counts: Tensor) -> Tensor:  # [K + 1] -> [N, K + 1]
    """The answers of a walk on its way."""
    return torch.stack([walk.to(count) for count in counts.tolist()], 1)


def turns(case: Case, values: Tensor) -> Tensor:  # [N, L] -> [N, L]
    """Which position's turn it is, the least value first.

    Ties come in an order drawn from the seed: from left to right, a map of few distinct scores would be judged by
    where in the sequence its zeros lie.
    """
    # numpy's is the fastest; where no two are alike there is one order only
    made = torch.from_numpy(np.argsort(values.numpy(), 1))
    ordered = values.gather(1, made)
    tied = (ordered[:, 1:] == ordered[:, :-1]).any(1)
    if tied.any():
        mixed = torch.randperm(values.shape[1], generator=case.draws(3))
        some = values[tied][:, mixed]
        made[tied] = mixed[some.argsort(dim=1, stable=True)]
    return made


def area(shares: Tensor, curve: Tensor) -> Tensor:
    """Under a curve, by trapezoids."""
    return torch.trapezoid(curve, shares, dim=-1)


@dataclass(frozen=True)
class Deletion(_Removal):
    """The area under what is left of f(x) - E f(b) while the most important positions go first.

    1 before any went, 0 when all did; below a half where few positions carry the answer. Positions that oppose
    it go last, and the curve may leave [0, 1]. NaN where the sequence does next to nothing: f(x) - E f(b) is
    below a twentieth of how far its answers reach.

    Source: Samek et al. 2017 (IEEE TNNLS 28, 2660); Petsiuk et al. 2018 (BMVC, arXiv 1806.07421).
    """

    name: ClassVar[str] = "deletion"
    category: ClassVar[str] = "faithfulness"
    higher_is_better: ClassVar[bool] = False

    def __call__(self, case: Case) -> Tensor:
        """[N]."""
        shares, (curve,) = self.curves(case, "deletion")
        return area(shares, curve)


@dataclass(frozen=True)
class Insertion(_Removal):
    """The area under f(x) - E f(b) while the most important positions come first into the background.

    0 before any came, 1 when all did. NaN as of `Deletion`. Source: as of `Deletion`.
    """

    name: ClassVar[str] = "insertion"
    category: ClassVar[str] = "faithfulness"
    higher_is_better: ClassVar[bool] = True

    def __call__(self, case: Case) -> Tensor:
        """[N]."""
        shares, (curve,) = self.curves(case, "insertion")
        return area(shares, curve)


@dataclass(frozen=True)
class ABPC(_Removal):
    """The area between the curves of taking the least and the most important positions first.

    0 for scores in any order at random; NaN as of `Deletion`.

    Source: Blücher et al. 2024; M4, Li et al. 2023 (NeurIPS).
    """

    name: ClassVar[str] = "ABPC"
    category: ClassVar[str] = "faithfulness"
    higher_is_better: ClassVar[bool] = True

    def __call__(self, case: Case) -> Tensor:
        """[N]."""
        shares, (most, least) = self.curves(case, "deletion", "least")
        return area(shares, least - most)
