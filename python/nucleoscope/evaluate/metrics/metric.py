"""What a metric is: a name, which way is better, and one number a sequence."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from nucleoscope.evaluate.case import Case

CATEGORIES = (
    "faithfulness",
    "truth",
    "robustness",
    "randomisation",
    "complexity",
    "consistency",
)


class Metric(Protocol):
    """One question asked of an explanation.

    A call gives one float64 for every sequence of the case; NaN is where the question has no answer, whatever the
    explainer says: a map that says nothing has a value (`silence`). Where a metric has an attribute `undefined`,
    it says in words why, and tables tell it.
    """

    @property
    def name(self) -> str:
        """What it is called in tables."""
        ...

    @property
    def category(self) -> str:
        """One of `CATEGORIES`."""
        ...

    @property
    def higher_is_better(self) -> bool:
        """Which way explanations are ranked."""
        ...

    def __call__(self, case: Case) -> Tensor:
        """[N] float64."""
        ...


def at_least(name: str, value: int, least: int) -> None:
    """Refuse a number that is too small, by name."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name}={value!r}: a whole number, {least} or more")
