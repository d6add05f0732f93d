"""Are the scores the exact ones, where these are known?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nucleoscope.evaluate.case import Case
from nucleoscope.evaluate.statistics import with_truth


def _unknown(case: Case) -> Tensor:
    return torch.full((len(case.data),), torch.nan, dtype=torch.float64)


@dataclass(frozen=True)
class ExactAgreement:
    """The correlation of φ with the exact attribution over positions, whatever its scale.

    0 for a map that is the same everywhere; NaN where the exact one is unknown or so itself.
    """

    name: ClassVar[str] = "exact agreement"
    category: ClassVar[str] = "truth"
    higher_is_better: ClassVar[bool] = True
    undefined: ClassVar[str] = "what is exact is unknown, or the same everywhere"

    def __call__(self, case: Case) -> Tensor:
        """[N]."""
        exact = case.data.exact
        return _unknown(case) if exact is None else with_truth(case.scores, exact.cpu())


@dataclass(frozen=True)
class ExactError:
    """‖φ - exact‖ / ‖exact‖: 0 where the map is exact in its scale too. NaN where it is unknown or all 0."""

    name: ClassVar[str] = "exact error"
    category: ClassVar[str] = "truth"
    higher_is_better: ClassVar[bool] = False
    undefined: ClassVar[str] = "what is exact is unknown, or 0 everywhere"

    def __call__(self, case: Case) -> Tensor:
        """[N]."""
        exact = case.data.exact
        if exact is None:
            return _unknown(case)
        size = exact.cpu().norm(dim=1)
        return torch.where(size > 0, (case.scores - exact.cpu()).norm(dim=1) / size, torch.nan)
