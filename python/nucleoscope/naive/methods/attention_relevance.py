"""The definition of attention relevance: every layer's matrix and its gradient."""

from __future__ import annotations

import torch
from torch import Tensor


def attention_relevance(
    attention: list[Tensor],  # by layer, first to last: [H, L, L]
    gradient: list[Tensor],  # of the target by each of these
    rows: Tensor,  # [M, L]
) -> Tensor:  # [M, L]
    """R <- R + mean_h(max(A * grad A, 0)) R from R = I, first layer to last; then rows @ R."""
    relevance = torch.eye(attention[0].shape[-1], dtype=rows.dtype, device=rows.device)
    for weights, grad in zip(attention, gradient, strict=True):
        relevance = relevance + (weights * grad).relu().mean(0) @ relevance
    return rows @ relevance
