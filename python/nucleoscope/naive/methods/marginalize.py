"""Marginalization as it is defined: write the motif over the sequence, predict, subtract."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nucleoscope.naive.methods.edited import Read, changes, mean


def marginalize(
    model: nn.Module, X: Tensor, motif: str, positions: Sequence[int], args: tuple[Tensor, ...] = (), *,
    read: Read = mean, alphabet: str = "ACGT",
) -> Tensor:  # fmt: skip
    """X [N, A, L]; N in the motif keeps the letter that is there; [N, positions, T]."""
    edits = [(n, written(x, motif, at, alphabet)) for n, x in enumerate(X) for at in positions]
    return changes(model, X, args, edits, read=read).view(len(X), len(positions), -1)


def written(sequence: Tensor, motif: str, at: int, alphabet: str) -> Tensor:
    """The sequence [A, L] with a motif written over it."""
    edited = sequence.clone()
    for position, letter in enumerate(motif, at):
        if letter != "N":
            edited[:, position] = torch.eye(len(alphabet))[alphabet.index(letter)].to(edited)
    return edited
