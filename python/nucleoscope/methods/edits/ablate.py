"""Ablation: a region shuffled, again and again."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nucleoscope.alphabet import alphabet_of
from nucleoscope.effects import Effects
from nucleoscope.engine.answers.read import Func
from nucleoscope.engine.edits.table import Table
from nucleoscope.methods.edits.editing import Options
from nucleoscope.methods.edits.several import Models, several
from nucleoscope.reading import read_range


def ablate(
    model: Models,  # of several, the mean
    X: Tensor,  # [N, 4, L] one-hot
    start: int,
    end: int,
    args: tuple[Tensor, ...] | None = None,
    *,
    n: int = 20,
    random_state: int | np.random.RandomState | None = None,
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
) -> Effects:  # changes [N, n], or [N, n, T] for a list of targets
    """What shuffling the letters of a region does to a model's output.

    The letters at [start, end) are put in another order, `n` times; all sequences are shuffled alike. A
    `random_state` gives the orders of tangermeme's `ersatz.shuffle`; None other ones each time. The other
    arguments are those of `saturation_mutagenesis`; edits must stay inside in all `shifts`.

    Raises
    ------
    TypeError, ValueError, IndexError
        For a region that is not there, fewer shuffles than 1, and what `saturation_mutagenesis` refuses.
    Disagreement
        If the verification fails.

    Source: tangermeme's `ablate` (Schreiber 2025).

    Equivalent to::

        edited[:, :, start:end] = X[:, :, start:end][:, :, order]     # for each of n orders
        read(model(edited)) - read(model(X))
    """
    alphabet = alphabet_of(model, alphabet)
    options = Options(
        target, func, layout, alphabet, precision, memory, verify, progress, device, reverse_complement,
        reverse_target, shifts,
    )  # fmt: skip
    with several(model, X, args, options, "ablate") as asked:
        start, end = read_range(start, end, asked.letters.shape[1])
        if not isinstance(n, Integral) or isinstance(n, bool) or n < 1:
            raise ValueError(f"n={n!r}: a number of shuffles, 1 or more")
        orders = shuffled(end - start, int(n), random_state)
        count = len(asked.letters)
        letters = asked.letters[:, start:end][:, orders]  # [N, n, W]
        sequence = np.repeat(np.arange(count), int(n))
        edit = np.repeat(np.arange(len(sequence)), end - start)
        position = np.tile(np.arange(start, end), len(sequence))
        found = asked.measure(Table(sequence, edit, position, letters.reshape(-1)))
    facts = {"random_state": random_state if isinstance(random_state, Integral) else None}
    return asked.effects(found, found.original[:, None], ("sequence", "shuffle"), facts)


def shuffled(
    width: int, n: int, random_state: int | np.random.RandomState | None
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The orders of `n` shuffles, [n, width]."""
    made = isinstance(random_state, np.random.RandomState)
    source: Any = random_state if made else np.random.RandomState(random_state)  # type: ignore[arg-type]
    orders = np.tile(np.arange(width), (n, 1))
    for order in orders:
        source.shuffle(order)
    return orders
