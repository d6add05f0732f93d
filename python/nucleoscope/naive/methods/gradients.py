"""The gradient of targets with respect to the input, as it is defined: one sequence, one target at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Read = Callable[[Any], Tensor]


def mean(output: Tensor) -> Tensor:
    """[B, *out] -> [B, 1]."""
    return output.reshape(len(output), -1).mean(1, keepdim=True)


def gradients(
    model: Callable[..., Any], X: Tensor, args: tuple[Tensor, ...] = (), *, read: Read = mean
) -> Tensor:
    """d read(model(X))[n, t] / d X[n] for every sequence and target: [N, T, *X.shape[1:]]."""
    made = []
    for n in range(len(X)):
        x = X[n : n + 1].detach().clone().requires_grad_()
        with torch.enable_grad():
            values = read(model(x, *(a[n : n + 1] for a in args)))[0]
            each = [torch.autograd.grad(v, x, retain_graph=True)[0][0] for v in values]
        made.append(torch.stack(each))
    return torch.stack(made)
