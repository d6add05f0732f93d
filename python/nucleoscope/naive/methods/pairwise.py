"""Pairs of substitutions as they are defined: f(ab) - f(a) - f(b) + f(0)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nucleoscope.naive.methods.edited import Read, changes, mean


def pairwise(
    model: nn.Module, X: Tensor, args: tuple[Tensor, ...] = (), *, sites: range, read: Read = mean
) -> Tensor:  # [N, A, sites, A, sites, T]
    """X [N, A, L]; 0 for letters that stand there and within one site."""
    size, many = X.shape[1], len(sites)
    rows = []
    for n, sequence in enumerate(X):

        def with_letters(*put: tuple[int, int], own: Tensor = sequence) -> Tensor:
            edited = own.clone()
            for letter, site in put:
                edited[:, sites[site]] = torch.eye(size)[letter].to(own)
            return edited

        each = [(a, s) for a in range(size) for s in range(many)]
        single = changes(model, X, args, ((n, with_letters(one)) for one in each), read=read)
        pairs = ((n, with_letters(one, two)) for one in each for two in each)
        double = changes(model, X, args, pairs, read=read)
        made = double.view(len(each), len(each), -1) - single[:, None] - single[None]
        made = made.view(size, many, size, many, -1)
        made[:, range(many), :, range(many)] = 0
        there = (sequence[:, list(sites)] == 1).to(X.device)  # [A, sites]
        made[there] = 0
        made[:, :, there] = 0
        rows.append(made)
    return torch.stack(rows)
