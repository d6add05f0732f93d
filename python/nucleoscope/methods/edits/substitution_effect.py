"""Substitutions given as rows, all of one sequence at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nucleoscope.alphabet import alphabet_of
from nucleoscope.effects import Effects
from nucleoscope.engine.answers.read import Func
from nucleoscope.engine.edits.table import Table
from nucleoscope.engine.rows import Ints
from nucleoscope.methods.edits.editing import Options
from nucleoscope.methods.edits.several import Models, several


def substitution_effect(
    model: Models,  # of several, the mean
    X: Tensor,  # [N, 4, L] one-hot
    substitutions: Any,  # rows (sequence, position, letter), whole numbers [K, 3]
    args: tuple[Tensor, ...] | None = None,
    *,
    sequence: Any = None,  # [M] which sequence each edit is of; by default each sequence has one
    target: Any = None,
    func: Func | None = None,
    layout: str = "NCL",
    alphabet: str | None = None,
    precision: str = "fp32",
    memory: int | None = None,
    verify: int = 2,
    progress: bool = False,
    device: str | torch.device | None = None,
    reverse_complement: bool = False,
    reverse_target: Any = None,
    shifts: Sequence[int] = (0,),
) -> Effects:  # changes [M], or [M, T] for a list of targets; M = N without `sequence`
    """What substitutions do to a model's output; all rows of one sequence are one edit.

    Rows are tangermeme's: the index of a sequence in X, a position in it, the letter put there as an
    index into `alphabet`, -1 for N (an all-zero column). A sequence without a row is not changed. With
    `sequence` the first of a row counts edits, and edit m is one of ``X[sequence[m]]``, whose original is
    made once: in float32 where there are few edits a sequence (``facts["originals"]`` says so), and once
    more in float64 where the verification finds that this is not enough; with ``verify=0`` always in
    float64. The other arguments are those of `saturation_mutagenesis`; edits must stay inside in all `shifts`.
    For alleles one by one see `variant_effect`.

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
    alphabet = alphabet_of(model, alphabet)
    options = Options(
        target, func, layout, alphabet, precision, memory, verify, progress, device, reverse_complement,
        reverse_target, shifts,
    )  # fmt: skip
    with several(model, X, args, options, "substitution_effect") as asked:
        table = read_table(substitutions, sequence, asked.letters.shape, len(alphabet))
        found = asked.measure(table)
    before = found.original[torch.from_numpy(table.sequence)]
    return asked.effects(found, before, ("sequence" if sequence is None else "edit",))


def read_table(given: Any, sequence: Any, shape: tuple[int, ...], alphabet: int) -> Table:
    """Rows (sequence, position, letter) on sequences [N, L] as a table of edits; raises as above."""
    count, length = shape
    which = np.arange(count) if sequence is None else _which(sequence, count)
    edit, position, letter = _rows(given, len(which), length, alphabet).T
    return Table.of(which, edit, position, letter)


def _which(given: Any, count: int) -> Ints:
    which = np.asarray(given.cpu() if isinstance(given, Tensor) else given)
    if which.ndim != 1 or which.dtype.kind not in "iu":
        raise TypeError(f"sequence: whole numbers [M], got {which.dtype} of shape {which.shape}")
    if ((which < 0) | (which >= count)).any():
        raise IndexError(
            f"sequence: X has {count} sequences, from 0; it names {which.tolist()[:9]}"
        )
    return which.astype(np.int64)


def _rows(given: Any, edits: int, length: int, letters: int) -> Ints:
    rows = np.asarray(given.cpu() if isinstance(given, Tensor) else given)
    if rows.size == 0:
        raise ValueError("substitutions: it holds no row, so there is nothing to do")
    if rows.ndim != 2 or rows.shape[1] != 3 or rows.dtype.kind not in "iu":
        raise ValueError(
            "substitutions: expected whole numbers [K, 3], rows (sequence, position, letter); got "
            f"{rows.dtype} of shape {rows.shape}"
        )
    sizes = {"sequence": edits, "position": length, "letter": letters}
    for column, (name, size) in enumerate(sizes.items()):
        lowest = -1 if name == "letter" else 0
        wrong = (rows[:, column] < lowest) | (rows[:, column] >= size)
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
