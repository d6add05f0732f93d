"""Edited sequences as tangermeme's ersatz makes them: motifs written over, regions shuffled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


def written(X: Tensor, motif: Any, start: int | None, alphabet: Sequence[str]) -> Tensor:
    """X [N, A, L] with a motif (letters, or one-hot [1 or N, A, W]) written over it; N leaves what is there.

    By default its middle lies in the middle of the sequence.
    """
    columns = encoded(motif, alphabet) if isinstance(motif, str) else motif.detach().cpu()
    if columns.ndim != 3 or columns.shape[1] != X.shape[1] or len(columns) not in (1, len(X)):
        raise ValueError(
            f"motif: expected letters, or one-hot [1 or {len(X)}, {X.shape[1]}, W]; got shape "
            f"{tuple(columns.shape)}"
        )
    hard = ((columns == 0) | (columns == 1)).all() and (columns.sum(1) <= 1).all()
    if not hard:
        raise ValueError(
            "motif: it must be one-hot encoded; unknown characters are all-zero columns"
        )
    length, wide = X.shape[2], columns.shape[2]
    begin = length // 2 - wide // 2 if start is None else start
    if not 0 <= begin <= length - wide:
        raise ValueError(
            f"start={begin}: the {wide} letters of the motif leave the sequence of {length}"
        )
    made = X.clone()
    there = made[:, :, begin : begin + wide]
    keep = columns.sum(1, keepdim=True) == 0
    made[:, :, begin : begin + wide] = torch.where(keep, there, columns.to(X))
    return made


def encoded(motif: str, alphabet: Sequence[str]) -> Tensor:
    """A motif one-hot, [1, A, W]; N an all-zero column."""
    unknown = [letter for letter in motif if letter not in alphabet and letter != "N"]
    if unknown:
        raise ValueError(f"motif={motif!r}: {unknown[0]!r} is not in the alphabet {list(alphabet)}")
    columns = torch.zeros(1, len(alphabet), len(motif), dtype=torch.int8)
    for at, letter in enumerate(motif):
        if letter in alphabet:
            columns[0, list(alphabet).index(letter), at] = 1
    return columns


def arranged(
    X: Tensor, motifs: Sequence[Any], gaps: Sequence[int], start: int | None, alphabet: Sequence[str]
) -> Tensor:  # fmt: skip
    """X with motifs written over it, so many letters between one and the next."""
    sizes = [len(m) if isinstance(m, str) else m.shape[-1] for m in motifs]
    if any(not 0 <= gap < X.shape[2] for gap in gaps):
        raise ValueError(f"spacing={list(gaps)}: from 0 to less than the {X.shape[2]} letters of X")
    at = X.shape[2] // 2 - (sum(gaps) + sum(sizes)) // 2 if start is None else start
    for motif, size, gap in zip(motifs, sizes, (*gaps, 0), strict=True):
        X = written(X, motif, at, alphabet)
        at += size + gap
    return X


def shuffle(
    X: Tensor,  # [N, A, L]
    start: int = 0,
    end: int = -1,
    n: int = 1,
    random_state: int | np.random.RandomState | None = None,
) -> Tensor:  # [N, n, A, L]
    """X with the letters at [start, end) in other orders, all sequences alike; tangermeme's `ersatz.shuffle`.

    A negative `end` counts from behind the last letter: -1 is L. Raises ValueError for a region that is
    not there.
    """
    stop = X.shape[-1] + 1 + end if end < 0 else end
    if not 0 <= start < stop <= X.shape[-1]:
        raise ValueError(f"start={start}, end={end}: no region of the {X.shape[-1]} letters of X")
    made = isinstance(random_state, np.random.RandomState)
    source: Any = random_state if made else np.random.RandomState(random_state)  # type: ignore[arg-type]
    shuffled = []
    for _ in range(n):
        order = np.arange(stop - start)
        source.shuffle(order)
        edited = X.clone()
        edited[:, :, start:stop] = X[:, :, start:stop][:, :, order]
        shuffled.append(edited)
    return torch.stack(shuffled, 1)
