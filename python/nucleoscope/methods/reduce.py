"""Raw scores -> attribution: centring over the letters, projection on the observed base."""

from __future__ import annotations

from torch import Tensor

CENTERS = ("mean", "alternatives", "none")


def center(raw: Tensor, how: str, columns: Tensor) -> Tensor:
    """raw [N, T, A, L], changes against the original (whose own letter is 0), under a convention.

    ``mean``: less the mean over all letters (tangermeme). ``alternatives``: less the mean over the
    letters other than the one in the input's columns [N, A, L], so that the original letter is minus
    that mean (AlphaGenome); all are others at N. ``none``: as they are (CREsted, Borzoi).

    Equivalent to::

        raw - raw.mean(-2, keepdim=True)                          # mean
        raw - raw.sum(-2, keepdim=True) / (columns != 1).sum(-2)  # alternatives
    """
    if how == "none":
        return raw
    if how == "mean":
        return raw - raw.mean(-2, keepdim=True)
    others = (columns != 1).sum(-2)[:, None, None].to(raw)
    return raw - raw.sum(-2, keepdim=True) / others


def project(scores: Tensor, columns: Tensor) -> Tensor:
    """scores [N, T, A, L] at the observed letters only: times the one-hot input [N, A, L]."""
    return scores * columns[:, None].to(scores)
