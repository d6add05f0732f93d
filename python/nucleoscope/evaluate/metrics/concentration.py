"""How few positions carry an explanation. Few is not right: read these beside the faithfulness."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from nucleoscope.evaluate.case import Case
from nucleoscope.evaluate.metrics.silence import or_silence
from nucleoscope.evaluate.statistics import entropy, gini


@dataclass(frozen=True)
class Sparseness:
    """The Gini coefficient of |φ|: 0 all positions alike, 1 - 1 / L one alone.

    0 where all are 0, the worst: no position stands out.

    Source: Chalasani et al. 2020 (ICML, PMLR 119, 1383).
    """

    name: ClassVar[str] = "sparseness"
    category: ClassVar[str] = "complexity"
    higher_is_better: ClassVar[bool] = True

    def __call__(self, case: Case) -> Tensor:
        """[N]."""
        return or_silence(gini(case.scores), case.scores, 0.0)


@dataclass(frozen=True)
class Complexity:
    """The entropy of |φ| as shares, in nats: 0 one position alone, ln L all alike.

    ln L where all are 0, the worst: no position stands out. Its exponential is how many positions
    carry the explanation.

    Source: Bhatt et al. 2020 (IJCAI, arXiv 2005.00631).
    """

    name: ClassVar[str] = "complexity"
    category: ClassVar[str] = "complexity"
    higher_is_better: ClassVar[bool] = False

    def __call__(self, case: Case) -> Tensor:
        """[N]."""
        most = math.log(case.data.length)
        return or_silence(entropy(case.scores), case.scores, most)
