"""Do the scores add up to what the sequence does, and how far off is the map itself?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nucleoscope.evaluate.background import Background, as_asked
from nucleoscope.evaluate.case import Case
from nucleoscope.evaluate.metrics.change import TOO_LITTLE, enough

AGAINST = ("change", "scores", "nothing")


@dataclass(frozen=True)
class Completeness:
    """What the sum of the scores misses of the change it should be: |Σφ - (f(x) - E f(b))|.

    relative_to: "change" divides by the change's size, "scores" by Σ|φ| or by that where it is larger, so that
    little is not missed by saying little; "nothing" leaves the output's units.
    background: what b is; None: what the explainer says that it measures from, and dinucleotide shuffles
    where it says nothing. NaN where the divisor is 0, or a change below a twentieth of how far the answers reach.
    A map may be complete and wrong: see `MapError`.

    Source: completeness, Sundararajan et al. 2017 (ICML, PMLR 70, 3319).
    """

    relative_to: str = "change"
    background: Background | None = None
    name: ClassVar[str] = "completeness gap"
    category: ClassVar[str] = "faithfulness"
    higher_is_better: ClassVar[bool] = False
    undefined: ClassVar[str] = TOO_LITTLE

    def __post_init__(self) -> None:
        if self.relative_to not in AGAINST:
            raise ValueError(
                f"relative_to={self.relative_to!r}: use one of {', '.join(map(repr, AGAINST))}"
            )

    def __call__(self, case: Case) -> Tensor:
        """[N], 0 where nothing is missed."""
        background = self.background or own_background(case)
        change = case.value - as_asked(case, background.of(case)).mean(1)
        missed = (case.scores.sum(1) - change).abs()
        if self.relative_to == "nothing":
            return missed
        if self.relative_to == "scores":
            size = torch.maximum(case.scores.abs().sum(1), change.abs())
            return torch.where(size > 0, missed / size, torch.nan)
        does = enough(case, change, background.kind)
        return torch.where(does, missed / change.abs(), torch.nan)


def own_background(case: Case) -> Background:
    """What the explainer says that it measures from, or dinucleotide shuffles."""
    return Background(case.explained.against or "dinucleotide")


@dataclass(frozen=True)
class MapError:
    """What the map is off by, of its size, as the explainer itself estimates; NaN where it does not.

    The gap of a sum is no such estimate: errors of both signs cancel in it (for integrated gradients the
    map's error was 0.08 to over 100 times the gap).
    """

    name: ClassVar[str] = "map error bar"
    category: ClassVar[str] = "faithfulness"
    higher_is_better: ClassVar[bool] = False
    undefined: ClassVar[str] = "the explainer tells no error bar"

    def __call__(self, case: Case) -> Tensor:
        """[N], 0 where the map is exact."""
        bar = case.explained.error_bar
        return torch.full((len(case.data),), torch.nan).double() if bar is None else bar.double()
