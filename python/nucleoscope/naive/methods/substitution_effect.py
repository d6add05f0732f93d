"""Substitutions as they are defined: all of one sequence at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nucleoscope.naive.methods.edited import Read, changes, mean


def substitution_effect(
    model: nn.Module, X: Tensor, substitutions: Tensor, args: tuple[Tensor, ...] = (), *,
    read: Read = mean,
) -> Tensor:  # fmt: skip
    """X [N, A, L]; rows (example, position, letter) [K, 3]; the change of each example [N, T]."""
    edited = X.clone()
    for example, position, letter in substitutions.tolist():
        edited[example, :, position] = torch.eye(X.shape[1])[letter].to(X)
    return changes(model, X, args, enumerate(edited), read=read)
