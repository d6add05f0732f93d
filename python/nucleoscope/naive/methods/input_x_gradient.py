"""Input times gradient, as its name says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from nucleoscope.naive.methods.gradients import Read, gradients, mean


def input_x_gradient(
    model: Callable[..., Any], X: Tensor, args: tuple[Tensor, ...] = (), *, read: Read = mean
) -> Tensor:
    """X [N, A, L]; [N, T, A, L]."""
    return X[:, None] * gradients(model, X, args, read=read)
