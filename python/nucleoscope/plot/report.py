"""A page of a benchmark: tables to sort, distributions, speed against quality, best and worst cases."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nucleoscope.plot.page import filled

PARTS = (
    "explainers", "models", "metrics", "headline", "least", "means", "values", "seconds", "agreement", "about",
    "failures", "cases", "cards",
)  # fmt: skip


def report(told: Mapping[str, Any], title: str, facts: Mapping[str, Any]) -> str:
    """HTML that shows what a benchmark found; it loads nothing, and says so to the browser.

    told: what `nucleoscope.evaluate.telling.told` gives, numbers that are not finite as None.

    Raises ValueError where a part is missing.
    """
    if missing := [name for name in PARTS if name not in told]:
        raise ValueError(f"told: {', '.join(missing)} missing")
    return filled("report.html", title, facts, _plain(told))


def _plain(value: Any) -> Any:
    """With None for numbers that are not finite, which JSON has not got."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
