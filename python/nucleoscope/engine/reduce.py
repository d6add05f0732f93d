"""Raw scores -> attribution: centring over the letters, projection on the observed base."""

from __future__ import annotations

from torch import Tensor

CENTERS = ("mean", "alternatives", "none")


def center(raw: Tensor, how: str) -> Tensor:
    """raw [..., A, L], changes against the original (whose own letter is 0), under a convention.

    ``mean``: less the mean over all letters (tangermeme). ``alternatives``: less the mean over the
    other letters, so that the original letter is minus that mean (AlphaGenome). ``none``: as they are
    (CREsted, Borzoi).

    Equivalent to::

        raw - raw.mean(-2, keepdim=True)                          # mean
        raw - raw.sum(-2, keepdim=True) / (raw.shape[-2] - 1)     # alternatives
    """
    if how == "none":
        return raw
    letters = raw.shape[-2]
    return raw - raw.sum(-2, keepdim=True) / (letters if how == "mean" else letters - 1)


def project(scores: Tensor, columns: Tensor) -> Tensor:
    """scores [N, T, A, L] at the observed letters only: times the one-hot input [N, A, L]."""
    return scores * columns[:, None].to(scores)
