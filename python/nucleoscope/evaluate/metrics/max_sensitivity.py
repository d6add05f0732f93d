"""How much an explanation changes when the sequence changes in ways that should not matter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from nucleoscope.evaluate.case import Case
from nucleoscope.evaluate.metrics.change import least
from nucleoscope.evaluate.metrics.metric import at_least
from nucleoscope.evaluate.metrics.silence import or_silence

WAYS = ("shift", "reverse complement", "substitution")


@dataclass(frozen=True)
class MaxSensitivity:
    """The largest ‖φ(x') - φ(x)‖ / ‖φ(x)‖ over some x' that mean the same, laid over x again.

    by: "shift" moves the sequence by 1 to `extent` bases, letters at random coming in, and compares the bases
    that stay, unless the model's answer moves by more than `moves` of how far its answers reach (`change`): where
    what is asked for lies at a position, or a site leaves or comes in, the shifted sequence means something else.
    "reverse complement" asks about the other strand; "substitution" changes `extent` bases outside the planted
    positions and compares all others.
    draws: how many x' are tried, one for the other strand. 0 is steady; NaN where every shift moves the answer,
    or, by substitution, where nothing is planted. Where all scores are 0 it is √2, which is what two maps of one
    size are apart that have nothing to do with each other: a map that says nothing is steady at no cost.

    Source: Yeh et al. 2019 (NeurIPS, arXiv 1901.09392), on sequences in the place of noise.
    """

    by: str = "shift"
    extent: int = 3
    draws: int = 4
    moves: float = 0.1
    of: ClassVar[str] = "max-sensitivity"
    category: ClassVar[str] = "robustness"
    higher_is_better: ClassVar[bool] = False
    undefined: ClassVar[str] = "every shift moves the answer, or nothing is planted"

    def __post_init__(self) -> None:
        if self.by not in WAYS:
            raise ValueError(f"by={self.by!r}: use one of {', '.join(map(repr, WAYS))}")
        at_least("extent", self.extent, 1)
        at_least("draws", self.draws, 1)
        if not self.moves >= 0:
            raise ValueError(f"moves={self.moves}: a share of how far answers reach, 0 or more")

    @property
    def name(self) -> str:
        """With the way sequences are changed."""
        return f"{self.of} ({self.by})"

    def __call__(self, case: Case) -> Tensor:
        """[N], 0 where the explanation stays."""
        if self.by == "shift" and min(self.extent, self.draws) >= case.data.length:
            raise ValueError(
                f"extent={self.extent}: a shift leaves none of {case.data.length} bases"
            )
        size = case.scores.norm(dim=1)
        value, still = size, torch.full_like(size, torch.inf)
        if self.by == "shift":
            value = case.value
            if self.moves < math.inf:
                still = least(case, "dinucleotide", self.moves)
        draws = 1 if self.by == "reverse complement" else self.draws
        moved = self._joined([self._moved(case, draw, value, still) for draw in range(draws)])
        steady = or_silence(moved / size, case.scores, math.sqrt(2))
        return torch.where(moved.isnan(), torch.nan, steady)

    def _joined(self, moved: list[Tensor]) -> Tensor:
        return reduce(torch.fmax, moved)  # of those that say something

    def _moved(self, case: Case, draw: int, value: Tensor, still: Tensor) -> Tensor:
        X, scores = case.data.X, case.scores
        if self.by == "reverse complement":
            return _size(case.again(X.flip(1, 2)).positions.flip(1) - scores)
        if self.by == "shift":
            by = 1 + draw % self.extent
            drawn = torch.randint(4, (by,), generator=case.draws(draw))
            new = F.one_hot(drawn, 4).T.to(X).expand(len(X), -1, -1)
            shifted = torch.cat([new, X[:, :, :-by]], 2)
            same = (case.ask(shifted) - value).abs() <= still
            moved = torch.full_like(value, torch.nan)
            if same.any():
                # All are explained: one that draws by row draws for each what it drew before.
                again = case.again(shifted).positions
                moved = torch.where(same, _size(again[:, by:] - scores[:, :-by]), moved)
            return moved
        if case.data.planted is None:
            return torch.full((len(X),), torch.nan, dtype=torch.float64)
        changed, edited = self._substituted(case, draw)
        return _size((case.again(edited).positions - scores) * ~changed)

    def _substituted(self, case: Case, draw: int) -> tuple[Tensor, Tensor]:
        """Which bases are changed, the same places for all but where they are planted, and the sequences."""
        X, planted = case.data.X, case.data.planted
        assert planted is not None
        draws = case.draws(draw)
        wish = torch.rand(X.shape[2], generator=draws).to(X.device)
        free = torch.where(planted | (X == 0).all(1), -1.0, wish)
        changed = free.argsort(1, descending=True).argsort(1) < self.extent
        changed &= free >= 0
        by = int(torch.randint(1, 4, (1,), generator=draws))
        return changed.cpu(), torch.where(changed[:, None], X.roll(by, 1), X)


@dataclass(frozen=True)
class AvgSensitivity(MaxSensitivity):
    """The mean of ‖φ(x') - φ(x)‖ / ‖φ(x)‖ over the x' that `MaxSensitivity` takes the largest of.

    Source: Yeh et al. 2019 (NeurIPS, arXiv 1901.09392), their mean in the place of their maximum.
    """

    of: ClassVar[str] = "avg-sensitivity"

    def _joined(self, moved: list[Tensor]) -> Tensor:
        return torch.stack(moved).nanmean(0)


def _size(scores: Tensor) -> Tensor:  # [N, L] -> [N]
    return scores.square().sum(1).sqrt()
