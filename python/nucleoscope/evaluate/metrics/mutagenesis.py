"""Does an explanation agree with what single substitutions do?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

import nucleoscope
from nucleoscope.evaluate.case import Case, home
from nucleoscope.evaluate.statistics import with_truth


@dataclass(frozen=True)
class MutagenesisAgreement:
    """The correlation over positions of φ with saturation mutagenesis, by the exact delta engine.

    start, end: the positions that are compared, all unless said. Mutagenesis counts the letter there less the
    mean of all four. It is 1 for mutagenesis itself, and no truth: of redundant sites it sees none. 0 for
    a map that is the same everywhere, NaN where single substitutions do the same everywhere.
    """

    start: int = 0
    end: int | None = None
    name: ClassVar[str] = "mutagenesis agreement"
    category: ClassVar[str] = "faithfulness"
    higher_is_better: ClassVar[bool] = True
    undefined: ClassVar[str] = "single substitutions do the same everywhere"

    def __call__(self, case: Case) -> Tensor:
        """[N], from -1 to 1."""
        known: dict[bytes, Tensor] = {} if case.remembered is None else case.remembered
        asked = repr(self).encode()
        if asked not in known:  # it is the same for all explainers
            known[asked] = self._effects(case)
        return with_truth(case.scores[:, self.start : self.end], known[asked])

    def _effects(self, case: Case) -> Tensor:
        _, dtype = home(case.model, case.data.X)
        found = nucleoscope.saturation_mutagenesis(
            case.model, case.data.X, target=case.data.target, start=self.start, end=self.end,
            precision="fp64" if dtype == torch.float64 else "fp32",
        )  # fmt: skip
        return found.observed().cpu().double()
