"""Variants as they are defined: write the alternative allele in the place of the reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from nucleoscope.naive.methods.edited import Read, changes, mean


def variant_effect(
    model: nn.Module, X: Tensor, sequence: Sequence[int], position: Sequence[int], ref: Sequence[str],
    alt: Sequence[str], args: tuple[Tensor, ...] = (), *, left: bool = False, read: Read = mean,
    alphabet: str = "ACGT",
) -> Tensor:  # fmt: skip
    """X [N, A, L]; the change by each variant [M, T]; sequences keep their length, as `left` says."""
    size, length = X.shape[1:]

    def edited() -> Iterator[tuple[int, Tensor]]:
        for n, begin, old, new in zip(sequence, position, ref, alt, strict=True):
            put = torch.eye(size)[[alphabet.index(letter) for letter in new]].T.to(X)
            made = torch.cat([X[n, :, :begin], put, X[n, :, begin + len(old) :]], 1)
            fill = X.new_zeros(size, max(0, length - made.shape[1]))
            made = torch.cat([fill, made] if left else [made, fill], 1)
            yield n, made[:, -length:] if left else made[:, :length]

    return changes(model, X, args, edited(), read=read)
