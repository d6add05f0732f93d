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

    def __repr__(self) -> str:
        shape = ", ".join(f"{a}={n}" for a, n in zip(self.axes, self.scores.shape, strict=True))
        facts = ", ".join(f"{k}={v}" for k, v in self.facts.items() if k in ("target", "center"))
        lines = [f"Attribution({self.facts.get('method', '?')}: {shape}; {facts})"]
        return "\n".join([*lines, *(f"  {check}" for check in self.checks)])

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write everything to one ``.npz`` file; it appears complete or not at all.

        Raises ValueError for another ending, OSError where the folder cannot be written.
        """
        path = Path(path)
        if path.suffix != ".npz":
            raise ValueError(f"path={str(path)!r}: an attribution is saved as .npz")
        facts = dataclasses.asdict(dataclasses.replace(self, scores=None, original=None))  # type: ignore[arg-type]
        with whole_file(path) as file:
            np.savez_compressed(
                file,
                scores=self.scores.cpu().numpy(),
                original=self.original.cpu().numpy(),
                facts=np.array(json.dumps(facts, default=str)),
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
                scores, original = (torch.from_numpy(held[k]) for k in ("scores", "original"))
            facts["axes"] = tuple(facts["axes"])
            facts["checks"] = tuple(Check(**c) for c in facts["checks"])
            return cls(**(facts | {"scores": scores, "original": original}))
        except FileNotFoundError:
            raise
        except Exception as error:  # numpy, zipfile and json each have their own
            raise ValueError(
                f"{str(path)!r} is not a saved attribution, or it is damaged: {error}"
            ) from error
