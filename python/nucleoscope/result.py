"""Attribution: scores with named axes, how they were made, and the checks they passed."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nucleoscope.files import whole_file

TENSORS = ("scores", "original", "sequences")


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

    def __repr__(self) -> str:
        shape = ", ".join(f"{a}={n}" for a, n in zip(self.axes, self.scores.shape, strict=True))
        facts = ", ".join(f"{k}={v}" for k, v in self.facts.items() if k in ("target", "center"))
        lines = [f"Attribution({self.facts.get('method', '?')}: {shape}; {facts})"]
        return "\n".join([*lines, *(f"  {check}" for check in self.checks)])

    def observed(self, target: int = 0) -> Tensor:
        """The score of the letter that is there, ``[sequence, site]``, of one target.

        Raises IndexError for a target that there is not, ValueError where hypothetical scores do not
        say which letter is there.
        """
        scores = self._of_target(target)
        if "letter" not in self.axes:
            return scores
        if self.facts.get("hypothetical"):
            scores = scores * self._known("which of the hypothetical scores are observed")
        return scores.sum(1)

    def substitutions(self, target: int = 0) -> Tensor:
        """What each letter would change in place of the one there, ``[sequence, letter, site]``.

        Whatever the scores were centred on falls out, except at N, where none is there. Raises IndexError for a target that there is
        not, ValueError where the scores of letters that are not there were not kept.
        """
        self._only_hypothetical("the effects of substitutions")
        scores = self._of_target(target)
        there = self._known("which letter each replaces")
        return scores - (scores * there).sum(1, keepdim=True)

    def _of_target(self, target: int) -> Tensor:
        """``[sequence, (letter,) site]``."""
        rest = tuple(axis for axis in self.axes if axis != "target")
        if rest not in (("sequence", "letter", "site"), ("sequence", "site")):
            raise ValueError(f"axes {self.axes}: sequences, letters and sites are needed")
        if "target" not in self.axes:
            if target != 0:
                raise IndexError(f"target={target}: this attribution has one target, 0")
            return self.scores
        axis = self.axes.index("target")
        count = self.scores.shape[axis]
        if not -count <= target < count:
            raise IndexError(f"target={target}: this attribution has {count} targets, from 0")
        return self.scores.select(axis, target)

    def _known(self, what: str) -> Tensor:
        """The sequences, in the scores' own type and place."""
        if self.sequences is None:
            raise ValueError(
                f"this attribution does not hold its sequences, so it is not known {what}: make it "
                "anew, or give it them by dataclasses.replace(attribution, sequences=...)"
            )
        return self.sequences.to(self.scores)

    def _only_hypothetical(self, what: str) -> None:
        if "letter" not in self.axes or not self.facts.get("hypothetical"):
            raise ValueError(
                f"{what} need the scores of letters that are not there: pass hypothetical=True to the "
                "method that makes the attribution"
            )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write everything to one ``.npz`` file; it appears complete or not at all.

        Raises ValueError for another ending, OSError where the folder cannot be written.
        """
        path = Path(path)
        if path.suffix != ".npz":
            raise ValueError(f"path={str(path)!r}: an attribution is saved as .npz")
        tensors = {name: getattr(self, name) for name in TENSORS if getattr(self, name) is not None}
        facts = dataclasses.asdict(dataclasses.replace(self, **dict.fromkeys(TENSORS)))  # type: ignore[arg-type]
        with whole_file(path) as file:
            np.savez_compressed(
                file,
                facts=np.array(json.dumps(facts, default=str)),
                **{name: tensor.cpu().numpy() for name, tensor in tensors.items()},
            )
        return path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Attribution:
        """Read a file written by `save`; nothing in it is unpickled.

        Raises FileNotFoundError where there is none, ValueError where it is not such a file.
        """
        try:
            with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as held:
                facts = json.loads(str(held["facts"]))
                tensors = {name: torch.from_numpy(held[name]) for name in TENSORS if name in held}
            facts["axes"] = tuple(facts["axes"])
            facts["checks"] = tuple(Check(**c) for c in facts["checks"])
            return cls(**(facts | tensors))
        except FileNotFoundError:
            raise
        except Exception as error:  # numpy, zipfile and json each have their own
            raise ValueError(
                f"{str(path)!r} is not a saved attribution, or it is damaged: {error}"
            ) from error
