"""An edit as it is defined: predict the edited sequence, predict the original, subtract."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import torch
from torch import Tensor, nn

from nucleoscope.naive.methods.full_float32 import full_float32

Read = Callable[[Tensor], Tensor]  # output [B, *out] -> [B, T]


def mean(output: Tensor) -> Tensor:
    """The mean over all outputs, [B, 1]."""
    return output.reshape(len(output), -1).mean(1, keepdim=True)


def changes(
    model: nn.Module,
    X: Tensor,  # [N, A, L] or [N, L, A], as the model takes it
    args: tuple[Tensor, ...],
    edits: Iterable[tuple[int, Tensor]],  # which sequence, and that sequence edited
    *,
    read: Read = mean,
    batch: int = 64,
    between: Callable[[int], object] = lambda _edits: None,
) -> Tensor:  # [M, T]
    """read(model(edited)) - read(model(X)) for every edit.

    Torch's TF32 is off meanwhile, whatever it is set to.
    """
    with torch.no_grad(), full_float32(()):
        before = originals(model, X, args, read)
        made = [before[:0]]
        for part in _batches(edits, batch):
            which = torch.tensor([n for n, _ in part], device=X.device)
            edited = torch.stack([sequence for _, sequence in part])
            own = (a.index_select(0, which.to(a.device)) for a in args)
            made.append(read(model(edited, *own)) - before[which])
            between(len(part))
        return torch.cat(made)


def originals(model: nn.Module, X: Tensor, args: tuple[Tensor, ...], read: Read = mean) -> Tensor:
    """read(model(X)), sequence by sequence, of copies: a model may write into what it is given. [N, T]"""
    with torch.no_grad(), full_float32(()):
        each = ([t[n : n + 1].clone() for t in (X, *args)] for n in range(len(X)))
        return torch.cat([read(model(*own)) for own in each])


def _batches(edits: Iterable[tuple[int, Tensor]], size: int) -> Iterator[list[tuple[int, Tensor]]]:
    left = iter(edits)
    while part := list(islice(left, size)):
        yield part
