"""Integrated gradients as they are defined: the mean gradient on the straight way from the baseline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from nucleoscope.naive.methods.gradients import Read, gradients, mean


def mean_gradient(
    model: Callable[..., Any], X: Tensor, baseline: Tensor, args: tuple[Tensor, ...] = (), *,
    nodes: Sequence[float], weights: Sequence[float], read: Read = mean,
) -> Tensor:  # fmt: skip
    """Sum of weights times gradients at baseline + node * (X - baseline): [N, T, A, L]."""
    each = (
        w * gradients(model, baseline + a * (X - baseline), args, read=read)
        for a, w in zip(nodes, weights, strict=True)
    )
    return sum(each)  # type: ignore[return-value]


def integrated_gradients(
    model: Callable[..., Any], X: Tensor, baseline: Tensor, args: tuple[Tensor, ...] = (), *,
    nodes: Sequence[float], weights: Sequence[float], read: Read = mean,
) -> Tensor:  # fmt: skip
    """What every letter would count if it stood at its site, [N, T, A, L]; X, baseline [N, A, L].

    The column of the letter that is there, summed over the letters of X, is (X - baseline) times the
    mean gradient, summed over letters.
    """
    G = mean_gradient(model, X, baseline, args, nodes=nodes, weights=weights, read=read)
    return G - (baseline[:, None] * G).sum(2, keepdim=True)
