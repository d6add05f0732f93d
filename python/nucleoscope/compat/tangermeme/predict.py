"""tangermeme's predict: the model's outputs, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import trange

from nucleoscope.compat.tangermeme.inputs import HALVES, autocast, others_as, place_of, ready, typed


def predict(
    model: nn.Module,
    X: Tensor,  # [N, 4, L]
    args: Sequence[Tensor] | None = None,  # each [N, ...]
    func: Callable[..., Any] | None = None,
    batch_size: int = 32,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    verbose: bool = False,
) -> Tensor | list[Tensor]:  # [N, *out] on the CPU, or one of each output
    """The model's outputs, as tangermeme 1.6 gives them.

    The model runs in eval mode on `device` (CUDA where there is one) and gets its modes and its place
    back. Inputs are cast to `dtype`, the model's own where None; half precision means autocast. `func`
    is applied to every batch of outputs.

    Raises
    ------
    ValueError
        For no sequences, `args` of another length, outputs that are not tensors.

    Equivalent to::

        torch.cat([func(model(batch)).cpu() for batch in X.split(batch_size)])
    """
    if len(X) == 0:
        raise ValueError("X: it holds no sequence")
    if not isinstance(X, Tensor):  # a PackedSequence
        X = X.to_one_hot()
    kind, place = typed(model, dtype), place_of(device)
    others = others_as(tuple(args or ()), len(X), kind)
    made = []
    with ready(model, place), torch.no_grad(), autocast(place, kind):
        for first in trange(0, len(X), batch_size, disable=not verbose):
            given = [t[first : first + batch_size].to(place, kind) for t in (X, *others)]
            output = model(*given)
            output = output if func is None else func(output)
            if not isinstance(output, Tensor | list | tuple):
                raise ValueError(
                    f"cannot interpret a {type(output).__name__} as the output of a model"
                )
            parts = (output,) if isinstance(output, Tensor) else output
            made.append([part.cpu() for part in parts])
    joined = [torch.cat(parts) for parts in zip(*made, strict=True)]
    return joined[0] if isinstance(output, Tensor) else joined


def halved(model: nn.Module, dtype: str | torch.dtype | None) -> bool:
    """Whether half precision is asked for, or is what the model has."""
    native = next((p.dtype for p in model.parameters()), torch.float32)
    return native in HALVES or typed(model, dtype) in HALVES
