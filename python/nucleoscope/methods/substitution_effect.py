"""Substitutions given as rows, all of one sequence at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nucleoscope.effects import Effects
from nucleoscope.engine.table import Table
from nucleoscope.engine.target import Func
from nucleoscope.methods.editing import Options, request


def substitution_effect(
    model: nn.Module,
    X: Tensor,  # [N, 4, L] one-hot
    substitutions: Any,  # rows (sequence, position, letter), whole numbers [K, 3]
    args: tuple[Tensor, ...] | None = None,
    *,
    target: Any = None,
    func: Func | None = None,
    layout: str = "NCL",
    alphabet: str = "ACGT",
    precision: str = "fp32",
    memory: int | None = None,
    verify: int = 2,
    progress: bool = False,
    device: str | torch.device | None = None,
) -> Effects:  # changes [N], or [N, T] for a list of targets
    """What substitutions do to a model's output; all rows of one sequence are one edit.

    Rows are tangermeme's: the index of a sequence in X, a position in it, the letter put there as an
    index into `alphabet`. A sequence without a row is not changed. The other arguments are those of
    `saturation_mutagenesis`. For alleles one by one see `variant_effect`.

    Raises
    ------
    TypeError, ValueError, IndexError
        For rows that are not there or are given twice, and for what `saturation_mutagenesis` refuses.
    Disagreement
        If the verification fails.

    Source: tangermeme's `substitution_effect` (Schreiber 2025).

    Equivalent to::

        edited = X.clone()
        edited[n, :, position] = one_hot(letter)          # for every row
        read(model(edited)) - read(model(X))
    """
    options = Options(target, func, layout, alphabet, precision, memory, verify, progress, device)
    with request(model, X, args, options, "substitution_effect") as asked:
        rows = _rows(substitutions, asked.letters.shape, len(alphabet))
        count = len(asked.letters)
        edit, position, letter = rows.T
        found = asked.measure(Table.of(np.arange(count), edit, position, letter))
    changes, before = found.changes, found.original
    axes: tuple[str, ...] = ("sequence", "target")
    if not asked.many:
        changes, before, axes = changes[:, 0], before[:, 0], axes[:1]
    return Effects(changes, before, axes, found.facts, found.checks)


def _rows(given: Any, shape: tuple[int, ...], letters: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    rows = np.asarray(given.cpu() if isinstance(given, Tensor) else given)
    if rows.size == 0:
        raise ValueError("substitutions: it holds no row, so there is nothing to do")
    if rows.ndim != 2 or rows.shape[1] != 3 or rows.dtype.kind not in "iu":
        raise ValueError(
            "substitutions: expected whole numbers [K, 3], rows (sequence, position, letter); got "
            f"{rows.dtype} of shape {rows.shape}"
        )
    for column, (name, size) in enumerate(
        zip(("sequence", "position", "letter"), (*shape, letters), strict=True)
    ):
        wrong = (rows[:, column] < 0) | (rows[:, column] >= size)
        if wrong.any():
            first = int(wrong.argmax())
            raise IndexError(
                f"substitutions: row {first} has {name} {int(rows[first, column])}; there are {size}, from 0"
            )
    unique, count = np.unique(rows[:, :2], axis=0, return_counts=True)
    if (count > 1).any():
        n, position = unique[count > 1][0].tolist()
        raise ValueError(
            f"substitutions: sequence {n}, position {position} is given more than once, and all rows of a "
            "sequence are one edit. Repeat the sequence in X, or use variant_effect for alleles one by one."
        )
    return rows.astype(np.int64)
