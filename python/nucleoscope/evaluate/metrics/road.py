"""Removal whose filling does not tell where something was removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from nucleoscope.evaluate.background import Background, without
from nucleoscope.evaluate.case import Case
from nucleoscope.evaluate.metrics.change import TOO_LITTLE, enough
from nucleoscope.evaluate.metrics.metric import at_least
from nucleoscope.evaluate.metrics.removal import turns


@dataclass(frozen=True)
class ROAD:
    """What is left of f(x) - E f(b) when the most important positions are filled from their neighbours.

    The mean over `shares` of the positions. A filled position takes the letter of the nearest one that stayed,
    before or behind it, the nearer the likelier, with letters at random as noise: the one-dimensional form of
    noisy linear imputation, so that what is filled does not stand out. draws: fillings that are averaged. Ties
    are taken in an order drawn from the seed. NaN where the sequence does next to nothing, as of `Deletion`.

    Source: Rong et al. 2022 (ICML, arXiv 2202.00449).
    """

    shares: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9)
    draws: int = 8
    noise: float = 0.1
    name: ClassVar[str] = "ROAD"
    category: ClassVar[str] = "faithfulness"
    higher_is_better: ClassVar[bool] = False
    undefined: ClassVar[str] = TOO_LITTLE

    def __post_init__(self) -> None:
        if not self.shares or not all(0 < share < 1 for share in self.shares):
            raise ValueError(
                f"shares={self.shares}: of the positions, between 0 and 1, one at least"
            )
        if not 0 <= self.noise <= 1:
            raise ValueError(f"noise={self.noise}: the chance of a letter at random, from 0 to 1")
        at_least("draws", self.draws, 1)

    def __call__(self, case: Case) -> Tensor:
        """[N], low where the most important positions carry the answer."""
        whole = torch.ones(1, case.data.length, dtype=torch.bool)
        ground = without(case, whole, Background("dinucleotide", self.draws))[:, 0]
        change = case.value - ground
        order = turns(case, case.scores * torch.where(change < 0, 1.0, -1.0)[:, None])
        place = order.argsort(1)
        left = torch.zeros_like(change)
        for share in self.shares:
            taken = place < max(1, min(case.data.length - 1, round(share * case.data.length)))
            left += case.ask(self.filled(case, taken)).view(self.draws, -1).mean(0) - ground
        does = enough(case, change, "dinucleotide")
        return torch.where(does, left / len(self.shares) / change, torch.nan)

    def filled(self, case: Case, taken: Tensor) -> Tensor:  # [N, L] -> [draws * N, 4, L]
        """The sequences with some positions filled from what stayed."""
        X, length, draws = case.data.X, case.data.length, case.draws(2)
        at = torch.arange(length).expand_as(taken)
        before = torch.where(taken, -1, at).cummax(1).values
        behind = torch.where(taken, length, at).flip(1).cummin(1).values.flip(1)
        weight = (behind - at).double() / (behind - before).clamp(min=1)
        weight = torch.where(before < 0, 0.0, torch.where(behind >= length, 1.0, weight))
        size = (self.draws, 1, length)  # the same numbers for all sequences
        first = torch.rand(size, generator=draws) < weight
        source = torch.where(first, before.clamp(min=0), behind.clamp(max=length - 1))
        source = source[:, :, None].expand(-1, -1, 4, -1)
        copied = X.expand(self.draws, -1, -1, -1).gather(3, source)
        random = F.one_hot(torch.randint(4, size, generator=draws), 4).movedim(3, 2).to(X)
        noisy = torch.rand(size, generator=draws)[:, :, None] < self.noise
        return torch.where(taken[:, None], torch.where(noisy, random, copied), X).flatten(0, 1)
