"""How few positions carry an explanation. Few is not right: read these beside the faithfulness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from nucleoscope.evaluate.case import Case
from nucleoscope.evaluate.statistics import entropy, gini


@dataclass(frozen=True)
class Sparseness:
    """The Gini coefficient of |φ|: 0 all positions alike, 1 - 1 / L one alone. NaN where all are 0.

    Source: Chalasani et al. 2020 (ICML, PMLR 119, 1383).
    """

    name: ClassVar[str] = "sparseness"
    category: ClassVar[str] = "complexity"
    higher_is_better: ClassVar[bool] = True

    def __call__(self, case: Case) -> Tensor:
        """[N]."""
        return gini(case.scores)


@dataclass(frozen=True)
class Complexity:
    """The entropy of |φ| as shares, in nats: 0 one position alone, ln L all alike. NaN where all are 0.

    Its exponential is how many positions carry the explanation.

    Source: Bhatt et al. 2020 (IJCAI, arXiv 2005.00631).
    """

    name: ClassVar[str] = "complexity"
    category: ClassVar[str] = "complexity"
    higher_is_better: ClassVar[bool] = False

    def __call__(self, case: Case) -> Tensor:
        """[N]."""
        return entropy(case.scores)
