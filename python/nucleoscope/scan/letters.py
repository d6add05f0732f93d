"""Bases as text, and as the numbers that models take."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nucleoscope.scan.rejects import Refused

IUPAC = {
    "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC",
    "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG",
}  # fmt: skip
COMPLEMENT = str.maketrans("ACGTRYSWKMBDHVNacgtryswkmbdhvn", "TGCAYRSWMKVHDBNtgcayrswmkvhdbn")


def reverse_complement(bases: str) -> str:
    """The other strand, read in its own direction."""
    return bases.translate(COMPLEMENT)[::-1]


def one_hot(
    sequences: list[str],
    alphabet: str = "ACGT",
    layout: str = "NCL",
    names: list[str] | None = None,
) -> Tensor:
    """[N, 4, L], or [N, L, 4] for layout NLC, of sequences of one length, in either case.

    N is a column of zeros, and a IUPAC code equal parts of its letters. Raises Refused, a ValueError, for
    any other letter, naming it and its place; `names` are what the sequences are called there.
    """
    columns = np.full((256, len(alphabet)), np.nan, np.float32)
    columns[ord("N")] = 0
    for at, letter in enumerate(alphabet):
        columns[ord(letter)] = np.eye(len(alphabet), dtype=np.float32)[at]
    for code, letters in IUPAC.items():
        if set(letters) <= set(alphabet):
            columns[ord(code)] = [(letter in letters) / len(letters) for letter in alphabet]
    rows = []
    for row, bases in enumerate(sequences):
        codes = np.frombuffer(bases.upper().encode("latin-1", "replace"), np.uint8)
        unknown = np.isnan(columns[codes, 0])
        if unknown.any():
            at = int(unknown.argmax())
            name = names[row] if names else f"sequence {row + 1}"
            raise Refused(
                "unknown letter",
                f"{name} has {bases[at]!r} at its position {at + 1}, which is neither "
                f"a letter of {alphabet}, N, nor a IUPAC code",
            )
        rows.append(columns[codes])
    hot = torch.from_numpy(np.stack(rows))
    return hot.mT.contiguous() if layout == "NCL" else hot
