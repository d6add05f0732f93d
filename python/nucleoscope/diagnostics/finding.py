"""A finding: what one question about a model and its explanation came to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One question, what was measured, and whether it tells against trusting the explanation.

    `thresholds` are ours, named as the values that they are held against. A question that cannot be asked of
    a model (attention of a net without any) has ``applies=False`` and never fires.
    """

    question: str
    fires: bool
    sentence: str  # in plain words
    values: Mapping[str, Any] = field(default_factory=dict)  # numbers, or lists and tables of such
    thresholds: Mapping[str, float] = field(default_factory=dict)
    applies: bool = True

    def __str__(self) -> str:
        state = ("FIRES " if self.fires else "quiet ") if self.applies else "n/a   "
        return f"{state} {self.question}: {self.sentence}"

    def told(self) -> dict[str, Any]:
        """As JSON takes it: what is not finite becomes None."""
        return {
            "question": self.question, "fires": self.fires, "applies": self.applies, "sentence": self.sentence,
            "values": plain(dict(self.values)), "thresholds": dict(self.thresholds),
        }  # fmt: skip


def plain(value: Any) -> Any:
    """Lists, dictionaries, text and finite numbers, to any depth."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
