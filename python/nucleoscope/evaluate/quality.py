"""Is the model any good? Explanations of one that guesses explain nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor

from nucleoscope.evaluate.statistics import auroc, spearman

DRAWS, LEVEL = 1000, 0.95


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

    def __post_init__(self) -> None:
        for name in ("value", "low", "high", "chance"):
            held = getattr(self, name)
            if isinstance(held, bool) or not isinstance(held, Real):
                raise TypeError(f"{name}={held!r}: a number is needed")
            if not math.isfinite(held):
                raise ValueError(f"{name}={held!r}: a finite number is needed")
        if not self.low <= self.value <= self.high:
            raise ValueError(
                f"low={self.low!r}, high={self.high!r}: the interval must hold the value, {self.value!r}"
            )

    @property
    def passed(self) -> bool:
        """Whether the whole interval lies above chance."""
        return self.low > self.chance

    def __str__(self) -> str:
        said = f"{self.measure} {self.value:.3f} ({LEVEL:.0%} interval {self.low:.3f} to {self.high:.3f})"
        return said if self.passed else f"{said}: no better than chance, {self.chance:g}"


def judged(said: Tensor, labels: Tensor) -> Quality:  # [N], [N] -> a value with its interval
    """AUROC of two classes, else Spearman's ρ, of answers with labels; 95 % bootstrap interval."""
    said, labels = said.detach().cpu(), labels.cpu()
    draws = torch.Generator().manual_seed(0)
    taken = torch.randint(len(said), (DRAWS, len(said)), generator=draws)
    two = labels.unique().numel() == 2
    measure, truth = (auroc, labels == labels.max()) if two else (spearman, labels.double())
    chance = 0.5 if two else 0.0
    found = (float(measure(said, truth)), *interval(measure(said[taken], truth[taken])))
    # a model that says the same of all sequences has no correlation
    value, low, high = (each if each == each else chance for each in found)
    # rounding may leave the value just outside of an interval of no width
    low, high = min(low, value), max(high, value)
    return Quality("AUROC" if two else "Spearman's rho", value, low, high, chance)


def interval(resampled: Tensor) -> tuple[float, float]:
    """The middle 95 % of what was found on resampled sequences; NaN where nothing was."""
    tail = (1 - LEVEL) / 2
    low, high = resampled.nanquantile(torch.tensor([tail, 1 - tail]).to(resampled)).tolist()
    return low, high
