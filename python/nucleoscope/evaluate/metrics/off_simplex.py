"""How much of a gradient points where no sequence lies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nucleoscope.evaluate.case import Case
from nucleoscope.evaluate.metrics.silence import or_silence


@dataclass(frozen=True)
class OffSimplexAngle:
    """The share of positions whose scores of the four letters stand off the simplex by more than `degrees`.

    sin θ = ½ Σ_a G_a / ‖G‖. Positions whose scores are all 0 do not count. Where all are, it is what directions
    at random have, 1 - 2 / π (θ + sin θ cos θ), 0.39 of 30 degrees: nothing lies on the simplex that is not there.
    NaN where the explainer says nothing of letters that are not there. Scores that were centred have none.

    Source: Majdandzic et al. 2023 (Genome Biol. 24, 109).
    """

    degrees: float = 30.0
    name: ClassVar[str] = "off-simplex share"
    category: ClassVar[str] = "consistency"
    higher_is_better: ClassVar[bool] = False
    undefined: ClassVar[str] = "the explainer says nothing of letters that are not there"

    def __post_init__(self) -> None:
        if not 0 <= self.degrees < 90:
            raise ValueError(f"degrees={self.degrees}: an angle from 0 to below 90")

    def __call__(self, case: Case) -> Tensor:
        """[N], from 0 to 1."""
        if case.explained.letters is None:
            return torch.full((len(case.data),), torch.nan, dtype=torch.float64)
        sine, there = self.sines(case.explained.letters)
        limit = torch.tensor(self.degrees, dtype=torch.float64).deg2rad().sin()
        far = (sine.abs() > limit + 1e-12) & there  # the angle itself is not beyond it
        share = far.sum(1) / there.sum(1, dtype=torch.float64)
        return or_silence(share, case.explained.letters, self.chance)

    @property
    def chance(self) -> float:
        """The share of all directions of four numbers that stand off by more."""
        angle = math.radians(self.degrees)
        return 1 - 2 / math.pi * (angle + math.sin(angle) * math.cos(angle))

    @staticmethod
    def sines(letters: Tensor) -> tuple[Tensor, Tensor]:
        """Of the angle at each position, and where there is one, both [N, L]."""
        size = letters.norm(dim=1)
        return letters.sum(1) / 2 / torch.where(size > 0, size, 1.0), size > 0
