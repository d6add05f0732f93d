"""How much of a gradient points where no sequence lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nucleoscope.evaluate.case import Case


@dataclass(frozen=True)
class OffSimplexAngle:
    """The share of positions whose scores of the four letters stand off the simplex by more than `degrees`.

    sin θ = ½ Σ_a G_a / ‖G‖. Positions whose scores are all 0 do not count; NaN where all are, and where the
    explainer says nothing of letters that are not there. Scores that were centred have none.

    Source: Majdandzic et al. 2023 (Genome Biol. 24, 109).
    """

    degrees: float = 30.0
    name: ClassVar[str] = "off-simplex share"
    category: ClassVar[str] = "consistency"
    higher_is_better: ClassVar[bool] = False

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
        return far.sum(1) / there.sum(1, dtype=torch.float64)

    @staticmethod
    def sines(letters: Tensor) -> tuple[Tensor, Tensor]:
        """Of the angle at each position, and where there is one, both [N, L]."""
        size = letters.norm(dim=1)
        return letters.sum(1) / 2 / torch.where(size > 0, size, 1.0), size > 0
