"""Expected gradients as they are defined: integrated gradients, averaged over baselines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from nucleoscope.naive.methods.gradients import Read, mean
from nucleoscope.naive.methods.integrated_gradients import integrated_gradients


def expected_gradients(
    model: Callable[..., Any], X: Tensor, baselines: Tensor, args: tuple[Tensor, ...] = (), *,
    nodes: Sequence[Sequence[float]], weights: Sequence[float], read: Read = mean,
) -> Tensor:  # fmt: skip
    """X [N, A, L], baselines [N, n, A, L], the nodes of each baseline; [N, T, A, L]."""
    each = [
        integrated_gradients(
            model, X, baselines[:, k], args, nodes=nodes[k], weights=weights, read=read
        )
        for k in range(baselines.shape[1])
    ]
    return sum(each) / len(each)  # type: ignore[return-value]
