"""SmoothGrad as it is defined: the gradient, averaged over noisy copies of the input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from nucleoscope.naive.methods.gradients import Read, gradients, mean


def smooth_grad(
    model: Callable[..., Any], copies: Tensor, args: tuple[Tensor, ...] = (), *, read: Read = mean
) -> Tensor:
    """copies [N, n, A, L], the noisy inputs; [N, T, A, L]."""
    each = [gradients(model, copies[:, k], args, read=read) for k in range(copies.shape[1])]
    return sum(each) / len(each)  # type: ignore[return-value]
