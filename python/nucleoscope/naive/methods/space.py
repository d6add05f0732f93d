"""Motifs at spacings as they are defined: write each over the sequence, predict, subtract."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from nucleoscope.naive.methods.edited import Read, changes, mean
from nucleoscope.naive.methods.marginalize import written


def space(
    model: nn.Module, X: Tensor, motifs: Sequence[str], spacing: Sequence[Sequence[int]], start: int,
    args: tuple[Tensor, ...] = (), *, read: Read = mean, alphabet: str = "ACGT",
) -> Tensor:  # fmt: skip
    """X [N, A, L]; the first motif begins at `start`; [N, spacings, T]."""
    edits = []
    for n, sequence in enumerate(X):
        for gaps in spacing:
            edited, at = sequence, start
            for motif, gap in zip(motifs, (*gaps, 0), strict=True):
                edited = written(edited, motif, at, alphabet)
                at += len(motif) + gap
            edits.append((n, edited))
    return changes(model, X, args, edits, read=read).view(len(X), len(spacing), -1)
