"""Saliency as it is defined: the gradient, less what points off the simplex."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from nucleoscope.naive.methods.gradients import Read, gradients, mean


def saliency(
    model: Callable[..., Any], X: Tensor, args: tuple[Tensor, ...] = (), *, read: Read = mean
) -> Tensor:
    """X [N, A, L]; the corrected gradient of all letters, [N, T, A, L]."""
    made = gradients(model, X, args, read=read)
    return made - made.mean(2, keepdim=True)
