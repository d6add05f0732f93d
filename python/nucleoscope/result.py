"""Attribution: scores with named axes, how they were made, and the checks they passed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from nucleoscope import exports, npz

if TYPE_CHECKING:
    import anndata
    import xarray

TENSORS = ("scores", "original", "sequences", "spread", "error_bar", "gap", "controls", "exact")


@dataclass(frozen=True)
class Check:
    """One question asked of a result, and the answer."""

    name: str
    passed: bool
    detail: str

    def __str__(self) -> str:
        return f"{'passed' if self.passed else 'FAILED'}  {self.name}: {self.detail}"


@dataclass(frozen=True, eq=False)
class Attribution:
    """What each letter at each site does to the model's output.

    scores: ``[sequence, letter, site]``, or ``[sequence, target, letter, site]`` for several targets;
    the change of the target in the output's own units, centred and projected as `facts` say.
    """

    scores: Tensor
    axes: tuple[str, ...]
    alphabet: str
    start: int  # position of the first site in its sequence
    original: Tensor  # the target's value for the unedited sequences, [N, T]
    facts: dict[str, Any] = field(
        default_factory=dict
    )  # method, target, center, precision, versions ...
    checks: tuple[Check, ...] = ()
    sequences: Tensor | None = None  # their columns at the scored sites, [sequence, letter, site]
    spread: Tensor | None = (
        None  # standard deviation of the scores over several models, shaped as they are
    )
    error_bar: Tensor | None = None  # what a sequence's scores are off by, of their size, [N, T]
    gap: Tensor | None = None  # what the scores' sum misses of the change it should be, [N, T]
    controls: Tensor | None = (
        None  # what to compare the scores with, [control, *as the scores]; facts name them
    )
    exact: Tensor | None = (
        None  # of an approximation: at which sites [N, site] the changes were made exactly
    )

    def __repr__(self) -> str:
        shape = ", ".join(f"{a}={n}" for a, n in zip(self.axes, self.scores.shape, strict=True))
        facts = ", ".join(f"{k}={v}" for k, v in self.facts.items() if k in ("target", "center"))
        lines = [f"Attribution({self.facts.get('method', '?')}: {shape}; {facts})"]
        return "\n".join([*lines, *(f"  {check}" for check in self.checks)])

    def of_target(self, target: int = 0) -> Tensor:
        """The scores of one target, ``[sequence, letter, site]``, or ``[sequence, site]`` without letters.

        Raises IndexError for a target that there is not, TypeError for what is no number of one, ValueError for
        other axes.
        """
        rest = tuple(axis for axis in self.axes if axis != "target")
        if rest not in (("sequence", "letter", "site"), ("sequence", "site")):
            raise ValueError(
                f"axes {self.axes}: sequences and sites are needed, with or without letters"
            )
        if not isinstance(target, Integral) or isinstance(target, bool):
            raise TypeError(f"target={target!r}: the number of a target, from 0")
        count = self.scores.shape[self.axes.index("target")] if "target" in self.axes else 1
        if not 0 <= target < count:
            have = "one target, 0" if count == 1 else f"{count} targets, from 0"
            raise IndexError(f"target={target}: this attribution has {have}")
        chosen = self.scores
        return chosen.select(self.axes.index("target"), target) if "target" in self.axes else chosen

    def observed(self, target: int = 0) -> Tensor:
        """The score of the letter that is there, ``[sequence, site]``.

        Raises IndexError for a target that there is not, ValueError where hypothetical scores do not
        come with their sequences.
        """
        scores = self.of_target(target)
        if "letter" not in self.axes:
            return scores
        if self.facts.get("hypothetical"):
            scores = scores * self._columns()
        return scores.sum(1)

    def hypothetical(self, target: int = 0) -> tuple[Tensor, Tensor]:
        """The scores of all letters, and the sequences, both ``[sequence, letter, site]``.

        Raises IndexError for a target that there is not, ValueError where the scores of letters that
        are not there were not kept, or the sequences were not.
        """
        if "letter" not in self.axes or not self.facts.get("hypothetical"):
            raise ValueError(
                "the scores of letters that are not there are needed, and were not kept: pass "
                "hypothetical=True to the method that makes the attribution"
            )
        return self.of_target(target), self._columns()

    def substitutions(self, target: int = 0) -> Tensor:
        """What each letter does in place of the one there, ``[sequence, letter, site]``.

        Whatever the scores were centred on falls out, except at N, where no letter is there. Raises
        as `hypothetical` does.
        """
        scores, there = self.hypothetical(target)
        return scores - (scores * there).sum(1, keepdim=True)

    def _columns(self) -> Tensor:
        """The sequences, in the scores' own type and place."""
        if self.sequences is None:
            raise ValueError(
                "these hypothetical scores do not say which letters are there: make the attribution "
                "anew, or give it them by dataclasses.replace(attribution, sequences=X)"
            )
        return self.sequences.to(self.scores)

    def to_xarray(self) -> xarray.Dataset:
        """A dataset with the axes' names. Needs ``pip install 'nucleoscope[xarray]'``."""
        return exports.to_xarray(self)

    def to_anndata(self) -> anndata.AnnData:
        """Sequences by letters at sites. Needs ``pip install 'nucleoscope[anndata]'``."""
        return exports.to_anndata(self)

    def to_modisco(self, folder: str | os.PathLike[str], target: int = 0) -> tuple[Path, Path]:
        """Write ``ohe.npz`` and ``shap.npz`` for tfmodisco-lite: ``modisco motifs -s ohe.npz -a shap.npz``.

        Raises as `hypothetical` does, and ValueError where the letters that are there score nothing.
        """
        return exports.to_modisco(self, Path(folder), target)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write everything to one ``.npz`` file; it appears complete or not at all.

        Raises ValueError for another ending, OSError where the folder cannot be written.
        """
        return npz.write(path, self, TENSORS, "an attribution")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Attribution:
        """Read a file written by `save`; nothing in it is unpickled.

        Raises FileNotFoundError where there is none, ValueError where it is not such a file.
        """
        made: Attribution = npz.read(path, cls, Check, TENSORS, "an attribution")
        return made
