"""Effects: what edits do to a model's output, how that was found, and the checks it passed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from nucleoscope import npz
from nucleoscope.result import Check

OF_EDITS = ("changes", "before", "spread")
OF_PAIRS = ("interactions", "singles", "original", "spread")


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
    spread: Tensor | None = None  # standard deviation of the changes over several models

    @property
    def after(self) -> Tensor:
        """The targets of the edited sequences."""
        return self.before + self.changes

    def __repr__(self) -> str:
        return _shown(self, self.changes, self.axes)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write everything to one ``.npz`` file; it appears complete or not at all.

        Raises ValueError for another ending, OSError where the folder cannot be written.
        """
        return npz.write(path, self, OF_EDITS, "a result on edits")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Effects:
        """Read a file written by `save`; nothing in it is unpickled.

        Raises FileNotFoundError where there is none, ValueError where it is not such a file.
        """
        made: Effects = npz.read(path, cls, Check, OF_EDITS, "a result on edits")
        return made


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
    spread: Tensor | None = None  # standard deviation of the interactions over several models

    def __repr__(self) -> str:
        return _shown(self, self.interactions, self.axes)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write everything to one ``.npz`` file; it appears complete or not at all.

        Raises ValueError for another ending, OSError where the folder cannot be written.
        """
        return npz.write(path, self, OF_PAIRS, "a result on pairs")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Pairs:
        """Read a file written by `save`; nothing in it is unpickled.

        Raises FileNotFoundError where there is none, ValueError where it is not such a file.
        """
        made: Pairs = npz.read(path, cls, Check, OF_PAIRS, "a result on pairs")
        return made


def _shown(result: Effects | Pairs, numbers: Tensor, axes: tuple[str, ...]) -> str:
    shape = ", ".join(f"{a}={n}" for a, n in zip(axes, numbers.shape, strict=True))
    facts = result.facts
    lines = [
        f"{type(result).__name__}({facts.get('method', '?')}: {shape}; target={facts.get('target')})"
    ]
    return "\n".join([*lines, *(f"  {check}" for check in result.checks)])
