"""Is the model any good? Explanations of one that guesses explain nothing."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor

from nucleoscope.evaluate.statistics import Correlation, auroc, spearman

DRAWS, LEVEL = 1000, 0.95
ALL_ORDERS = 7  # sequences, up to which all 5,040 orders are counted
RANDOM_ORDERS = 9_999
AT_ONCE = 1 << 18  # places of orders, each of which takes some 100 bytes while it is ranked


@dataclass(frozen=True)
class Quality:
    """How well a model's answers go with the labels: a value with its interval, and what chance gives.

    Raises TypeError for what is no number, ValueError for NaN, infinities, or an interval that does not hold
    its value.
    """

    measure: str  # "AUROC" of two classes, else "Spearman's rho"
    value: float
    low: float
    high: float
    chance: float
    p: float | None = None  # how often labels in another order do as well, where that was counted

    def __post_init__(self) -> None:
        for name in ("value", "low", "high", "chance"):
            held = getattr(self, name)
            if isinstance(held, bool) or not isinstance(held, Real):
                raise TypeError(f"{name}={held!r}: a number is needed")
            if not math.isfinite(held):
                raise ValueError(f"{name}={held!r}: a finite number is needed")
        if self.p is not None and not 0 <= self.p <= 1:
            raise ValueError(f"p={self.p!r}: a share, from 0 to 1")
        if not self.low <= self.value <= self.high:
            raise ValueError(
                f"low={self.low!r}, high={self.high!r}: the interval must hold the value, {self.value!r}"
            )

    @property
    def passed(self) -> bool:
        """Whether the whole interval lies above chance, and few orders of the labels would do as well."""
        return self.low > self.chance and (self.p is None or self.p <= 1 - LEVEL + 1e-12)

    def __str__(self) -> str:
        said = f"{self.measure} {self.value:.3f} ({LEVEL:.0%} interval {self.low:.3f} to {self.high:.3f})"
        if self.passed:
            return said
        if self.low > self.chance:
            return (
                f"{said}: too few sequences to tell it from chance, {self.chance:g}: it does as well at "
                f"{self.p:.0%} of all orders of the labels"
            )
        return f"{said}: no better than chance, {self.chance:g}"


def judged(said: Tensor, labels: Tensor) -> Quality:  # [N], [N] -> a value with its interval
    """AUROC of two classes, else Spearman's ρ, of answers with labels; 95 % bootstrap interval.

    Of few sequences a bootstrap knows nothing: four, two of each class in the right order, give an interval of no
    width, and one order of six is right by chance. So p is counted beside it: over all orders of the labels of up
    to 7 sequences, which is exact, and of more over 9,999 random ones and the one that is there (never too small,
    whatever is drawn).
    """
    said, labels = said.detach().cpu(), labels.cpu()
    draws = torch.Generator().manual_seed(0)
    taken = torch.randint(len(said), (DRAWS, len(said)), generator=draws)
    two = labels.unique().numel() == 2
    measure, truth = (auroc, labels == labels.max()) if two else (spearman, labels.double())
    chance = 0.5 if two else 0.0
    found = (float(measure(said, truth)), *interval(measure(said[taken], truth[taken])))
    p = _by_order(measure, said, truth, found[0])
    # a model that says the same of all sequences has no correlation
    value, low, high = (each if each == each else chance for each in found)
    # rounding may leave the value just outside of an interval of no width
    low, high = min(low, value), max(high, value)
    return Quality("AUROC" if two else "Spearman's rho", value, low, high, chance, p)


def _by_order(measure: Correlation, said: Tensor, truth: Tensor, value: float) -> float:
    """The share of orders of the labels at which the model does as well or better."""
    if value != value:
        return 1.0
    count = len(said)
    if count <= ALL_ORDERS:
        orders = torch.tensor(list(itertools.permutations(range(count))))
        return _as_good(measure, said, truth[orders], value) / len(orders)
    draws = torch.Generator().manual_seed(1)
    good, rows = 1, max(1, AT_ONCE // count)  # the order that is there is as good as itself
    for start in range(0, RANDOM_ORDERS, rows):
        drawn = torch.rand(min(rows, RANDOM_ORDERS - start), count, generator=draws)
        good += _as_good(measure, said, truth[drawn.argsort(1)], value)
    return good / (1 + RANDOM_ORDERS)


def _as_good(measure: Correlation, said: Tensor, truths: Tensor, value: float) -> int:
    """Of how many rows of labels the answers say as much or more."""
    return int((measure(said.expand(len(truths), -1), truths) >= value - 1e-9).sum())


def interval(resampled: Tensor) -> tuple[float, float]:
    """The middle 95 % of what was found on resampled sequences; NaN where nothing was."""
    tail = (1 - LEVEL) / 2
    low, high = resampled.nanquantile(torch.tensor([tail, 1 - tail]).to(resampled)).tolist()
    return low, high
