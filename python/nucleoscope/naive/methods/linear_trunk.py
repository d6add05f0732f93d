"""A linear trunk as it is defined: what the tower changes, times the trunk's gradient at the original."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Tower = Callable[[Tensor], tuple[Tensor, ...]]


def linear_trunk(
    tower: Tower,  # X -> all that the trunk reads
    trunk: Callable[..., Tensor],
    X: Tensor,  # [1, A, L]
    sites: range,
    read: Callable[[Tensor], Tensor],  # [B, *out] -> [B, T]
) -> Tensor:  # [1, T, A, sites]
    """sum over what the trunk reads of (tower(edited) - tower(X)) * gradient, for every letter at every site.

    Each of these is a leaf of its own: none is made of another.
    """
    with torch.no_grad():
        before = tower(X)
    leaves = [value.clone().requires_grad_() for value in before]
    targets = read(trunk(*leaves))[0]
    found = []
    for target in targets:
        slopes = torch.autograd.grad(target, leaves, retain_graph=True)
        scores = X.new_zeros(X.shape[1], len(sites))
        for letter in range(X.shape[1]):
            for at, site in enumerate(sites):
                edited = X.clone()
                edited[:, :, site] = 0
                edited[:, letter, site] = 1
                with torch.no_grad():
                    after = tower(edited)
                changes = zip(after, before, slopes, strict=True)
                scores[letter, at] = sum(((a - b) * g).sum() for a, b, g in changes)
        found.append(scores)
    return torch.stack(found)[None]
