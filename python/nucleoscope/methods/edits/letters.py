"""Motifs and alleles as users write them: strings, or one-hot columns."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from torch import Tensor

from nucleoscope.engine.edits.table import Table
from nucleoscope.engine.rows import Ints

KEPT = -1  # a position of a motif that leaves the letter there as it is


def read_motif(motif: Any, alphabet: str, name: str) -> Ints:
    """A motif as columns of the alphabet; N, or an all-zero column, keeps the letter that is there.

    A string, or a one-hot tensor [A, W] or [1, A, W].
    """
    if isinstance(motif, str):
        unknown = sorted(set(motif.upper()) - set(alphabet) - {"N"})
        if not motif or unknown:
            raise ValueError(
                f"{name}={motif!r}: "
                + (f"{unknown[0]!r} is not in alphabet={alphabet!r}" if motif else "it is empty")
            )
        return np.array([alphabet.find(letter) for letter in motif.upper()])
    if not isinstance(motif, Tensor):
        raise TypeError(
            f"{name}: expected a string or a one-hot tensor, got {type(motif).__name__}"
        )
    columns = motif[0] if motif.ndim == 3 and len(motif) == 1 else motif
    if columns.ndim != 2 or columns.shape[0] != len(alphabet) or columns.shape[1] == 0:
        raise ValueError(
            f"{name}: expected one motif [{len(alphabet)}, W], got shape {tuple(motif.shape)}"
        )
    hard = ((columns == 0) | (columns == 1)).all() and (columns.sum(0) <= 1).all()
    if not hard:
        raise ValueError(f"{name}: every column must be one letter (one-hot) or none (N)")
    letters: Ints = columns.argmax(0).where(columns.sum(0) == 1, KEPT).cpu().numpy()
    return letters


def read_allele(allele: Any, alphabet: str, name: str) -> Ints:
    """An allele as columns of the alphabet; the empty string is one without letters."""
    if not isinstance(allele, str):
        raise TypeError(f"{name}={allele!r}: an allele is a string of letters")
    for letter in allele.upper():
        if letter not in alphabet:
            hint = (
                ": resolve it to the letters it stands for, one variant each"
                if letter in "NRYSWKMBDHV"
                else ""
            )
            raise ValueError(f"{name}={allele!r}: {letter!r} is not in alphabet={alphabet!r}{hint}")
    return np.array([alphabet.index(letter) for letter in allele.upper()], dtype=np.int64)


def read_positions(given: Any, width: int, length: int, name: str = "positions") -> list[int]:
    """Where something `width` letters long is put into sequences of this length."""
    one = isinstance(given, Integral) and not isinstance(given, bool)
    numbers = np.asarray([given] if one else given.cpu() if isinstance(given, Tensor) else given)
    if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
        raise TypeError(f"{name}={given!r}: a position or a list of them, whole numbers")
    if not numbers.size:
        raise ValueError(f"{name}: it is empty, so there is nothing to do")
    for at in numbers.tolist():
        if not 0 <= at <= length - width:
            raise IndexError(
                f"{name}: at {at} the {width} letters leave the sequence of {length}; they fit from 0 to "
                f"{length - width}"
                if width <= length
                else f"{name}: {width} letters do not fit a sequence of {length}"
            )
    placed: list[int] = numbers.tolist()
    return placed


def place_motifs(letters: Ints, arrangements: list[list[tuple[Ints, int]]]) -> Table:
    """Each arrangement of motifs, (letters, where they begin), in each sequence [N, L]: edits [N * K].

    What a motif keeps is among an edit's letters as it stands, so that all sequences share one shape.
    """
    count, many = len(letters), len(arrangements)
    sizes = [sum(len(motif) for motif, _ in each) for each in arrangements]
    position = np.concatenate([
        np.arange(len(motif)) + at for each in arrangements for motif, at in each
    ])  # fmt: skip
    motif = np.concatenate([motif for each in arrangements for motif, _ in each])
    put = np.where(motif == KEPT, letters[:, position], motif)  # [N, K letters]
    sequence = np.repeat(np.arange(count), many)
    edit = np.repeat(np.arange(count * many), np.tile(sizes, count))
    return Table(sequence, edit, np.tile(position, count), put.reshape(-1))
