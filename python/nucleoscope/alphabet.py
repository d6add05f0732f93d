"""The letters of one-hot channels: which pairs with which on the other strand, and which are known."""

from __future__ import annotations

import torch
from torch import Tensor

PAIRS = {"A": "T", "T": "A", "C": "G", "G": "C", "U": "A", "N": "N"}


def complement(alphabet: str, asked: str = "reverse_complement=True") -> Tensor:  # [A]
    """Which letter of the alphabet pairs with each; N with itself.

    Equivalent to::

        other_strand = X.flip(2)[:, complement(alphabet)]
    """
    pairs = [PAIRS.get(letter.upper(), "") for letter in alphabet]
    spelled = alphabet.upper().replace("U", "T")
    at = [spelled.find(pair) if pair else -1 for pair in pairs]
    if min(at) < 0 or sorted(at) != list(range(len(alphabet))):
        raise ValueError(
            f"{asked}: the letters of alphabet={alphabet!r} do not pair; it takes A, C, G and T, and N"
        )
    return torch.tensor(at)


def known(X: Tensor, alphabet: str) -> Tensor:  # [N, A, L] -> [N, L]
    """Where there is one letter: not none, no part of several, and not N where N is a letter too."""
    named = [i for i, letter in enumerate(alphabet) if letter.upper() != "N"]
    return (X[:, named].amax(1) == 1) & (X.sum(1) == 1)
