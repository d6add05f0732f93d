"""Motifs planted in random letters that hold none of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nucleoscope.evaluate.truth.grammar_model import MOTIFS, SLACK, WIDTH

Letters = np.ndarray[Any, np.dtype[np.int64]]
CONSENSUS = np.array([["ACGT".index(letter) for letter in motif] for motif in MOTIFS])
ROUNDS = 1000


def planted(
    length: int, starts: Sequence[int | None], source: np.random.Generator
) -> tuple[Letters, np.ndarray[Any, np.dtype[np.bool_]]]:
    """Letters with each motif at its start (None: it is not there), and which positions hold motifs.

    Wherever else a stretch matches a motif in more letters than count for nothing, one letter of it that is
    not a motif's own is drawn anew.

    Raises ValueError where motifs overlap, lie outside or leave no room for that.
    """
    letters = source.integers(4, size=length)
    held = np.zeros(length, bool)
    for motif, start in zip(CONSENSUS, starts, strict=True):
        if start is None:
            continue
        if not 0 <= start <= length - WIDTH or held[start : start + WIDTH].any():
            raise ValueError(f"starts={starts}: motifs overlap or lie outside of {length} bases")
        letters[start : start + WIDTH] = motif
        held[start : start + WIDTH] = True
    for _ in range(ROUNDS):
        odd = _elsewhere(letters, starts)
        if not len(odd):
            return letters, held
        for _, at in odd:
            free = np.flatnonzero(~held[at : at + WIDTH])
            if not len(free):
                break
            letters[at + source.choice(free)] = source.integers(4)
    raise ValueError(f"starts={starts}: motifs cannot be kept apart in {length} bases")


def _elsewhere(letters: Letters, starts: Sequence[int | None]) -> Letters:
    """Matches (motif, start) that are not the planted ones."""
    windows = np.lib.stride_tricks.sliding_window_view(letters, WIDTH)
    found = np.stack([(windows == motif).sum(1) > WIDTH - SLACK for motif in CONSENSUS])
    for k, start in enumerate(starts):
        if start is not None:
            found[k, start] = False
    return np.argwhere(found)


def one_hot(letters: Sequence[Letters]) -> Tensor:  # [N, 4, L]
    """Rows of letters as the columns of a sequence."""
    made = F.one_hot(torch.from_numpy(np.stack(letters)), 4)
    return made.transpose(1, 2).float().contiguous()
