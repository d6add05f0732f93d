"""Effects: what edits do to a model's output, how that was found, and the checks it passed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from nucleoscope.result import Check


@dataclass(frozen=True, eq=False)
class Effects:
    """The output's change by each edit, and the output before; `axes` names what the edits are.

    Several targets are the last axis, ``target``.
    """

    changes: Tensor  # one number an edit and target, in the output's own units
    before: Tensor  # the targets of the unedited sequences; broadcasts against `changes`
    axes: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict)  # method, target, precision, versions ...
    checks: tuple[Check, ...] = ()

    @property
    def after(self) -> Tensor:
        """The targets of the edited sequences."""
        return self.before + self.changes

    def __repr__(self) -> str:
        return _shown(self, self.changes, self.axes)


@dataclass(frozen=True, eq=False)
class Pairs:
    """What two substitutions do together beyond what each does alone.

    An interaction is the change by both less the two changes by one; it is 0 for letters that stand
    there and within one site. Several targets are the last axis, ``target``.
    """

    interactions: Tensor  # [sequence, letter, site, letter, site], symmetric
    singles: Tensor  # the changes by one, [sequence, letter, site]
    original: Tensor  # [sequence]
    alphabet: str
    start: int  # position of the first site in its sequence
    axes: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()

    def __repr__(self) -> str:
        return _shown(self, self.interactions, self.axes)


def _shown(result: Effects | Pairs, numbers: Tensor, axes: tuple[str, ...]) -> str:
    shape = ", ".join(f"{a}={n}" for a, n in zip(axes, numbers.shape, strict=True))
    facts = result.facts
    lines = [
        f"{type(result).__name__}({facts.get('method', '?')}: {shape}; target={facts.get('target')})"
    ]
    return "\n".join([*lines, *(f"  {check}" for check in result.checks)])
