"""The definition of attention rollout: every layer's matrix, multiplied."""

from __future__ import annotations

import torch
from torch import Tensor


def attention_rollout(
    attention: list[Tensor],  # by layer, first to last: [H, L, L], rows sum to 1
    rows: Tensor,  # [M, L]
    alpha: float = 0.5,
    norms: list[Tensor] | None = None,  # by layer: [H, L]
) -> Tensor:  # [M, L]
    """rows @ (alpha I + (1 - alpha) A_n) ... (alpha I + (1 - alpha) A_1), A the mean over heads."""
    joint = torch.eye(attention[0].shape[-1], dtype=rows.dtype, device=rows.device)
    for at, layer in enumerate(attention):
        weights = layer
        if norms is not None:
            weights = layer * norms[at][:, None]
            weights = weights / weights.sum(-1, keepdim=True)
        joint = (alpha * torch.eye(len(joint)).to(joint) + (1 - alpha) * weights.mean(0)) @ joint
    return rows @ joint
