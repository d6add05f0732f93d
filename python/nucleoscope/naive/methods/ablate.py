"""Ablation as it is defined: shuffle the region, predict, subtract."""

from __future__ import annotations

from torch import Tensor, nn

from nucleoscope.naive.methods.edited import Read, changes, mean


def ablate(
    model: nn.Module, X: Tensor, start: int, end: int, orders: Tensor, args: tuple[Tensor, ...] = (), *,
    read: Read = mean,
) -> Tensor:  # fmt: skip
    """X [N, A, L]; orders [n, end - start], which letter of the region comes where; [N, n, T]."""
    edits = []
    for n, sequence in enumerate(X):
        for order in orders:
            edited = sequence.clone()
            edited[:, start:end] = sequence[:, start:end][:, order]
            edits.append((n, edited))
    return changes(model, X, args, edits, read=read).view(len(X), len(orders), -1)
