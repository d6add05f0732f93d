"""Outputs before and after edits: by the engine where outputs are asked for, else by what is given."""

from __future__ import annotations

import string
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nucleoscope import NaiveFallback
from nucleoscope import substitution_effect as by_deltas
from nucleoscope.compat.outputs import Read, Reading
from nucleoscope.compat.tangermeme.inputs import others_as, place_of, ready, typed
from nucleoscope.compat.tangermeme.predict import halved, predict

# Outputs that are targets of their own; more are read off whole outputs.
TARGETS = 256


def before_and_after(
    model: nn.Module, X: Tensor, edited: Tensor, args: Any, func: Callable[..., Any], options: dict[str, Any]
) -> tuple[Any, Any]:  # fmt: skip
    """func of X [N, A, L] and of `edited` [N * K, A, L], K edits of each sequence in turn."""
    many = len(edited) // len(X)
    if _predicts(func) and not halved(model, options.get("dtype")):
        return _by_engine(model, X, edited, args, **options)
    if _predicts(func):
        warnings.warn(
            "half precision, which the engine does not compute in, so every edited sequence is predicted. "
            "Call model.float(), or leave dtype out, to have the engine.",
            NaiveFallback,
            stacklevel=3,
        )
    more = None if args is None else tuple(a.repeat_interleave(many, 0) for a in args)
    before, after = ({} if own is None else {"args": own} for own in (args, more))
    return func(model, X, **before, **options), func(model, edited, **after, **options)


def _predicts(func: Any) -> bool:
    """Whether it is predict, ours or tangermeme's own."""
    return func is predict or (
        getattr(func, "__module__", "") == "tangermeme.predict" and func.__name__ == "predict"
    )


def _by_engine(
    model: nn.Module, X: Tensor, edited: Tensor, args: Any, *, func: Callable[..., Any] | None = None,
    batch_size: int = 32, dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None, verbose: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    del batch_size  # the engine picks its own
    kind, place = typed(model, dtype), place_of(device)
    others = others_as(args, len(X), kind)
    source = torch.arange(len(X)).repeat_interleave(len(edited) // len(X))
    edit, position = (edited != X[source]).any(1).nonzero(as_tuple=True)
    columns = edited[edit, :, position]
    letter = columns.to(torch.float32).argmax(1).where(columns.sum(1) > 0, -1)
    with ready(model, None) as home, torch.no_grad():
        output = model(*(t[:1].to(home, kind) for t in (X, *others)))
        reading = Reading(func, None, True, output)
        if not len(edit):
            before = predict(model, X, args, func, dtype=dtype, device=home)
            return before, _repeated(before, source)
        asked, read, target = _asked(model, output, reading, func)
        found = by_deltas(
            asked.eval(), X, torch.stack([edit, position, letter], 1), others, sequence=source,
            target=target, func=read, alphabet=string.ascii_letters[: X.shape[1]],
            precision="fp64" if kind == torch.float64 else "fp32", progress=verbose, device=place,
        )  # fmt: skip
    original = found.before.new_zeros(len(X), found.before.shape[1])
    original[source] = found.before
    return reading.shaped(original), reading.shaped(found.after)


def _asked(
    model: nn.Module, output: Any, reading: Reading, func: Callable[..., Any] | None
) -> tuple[nn.Module, Callable[..., Any] | None, list[Any]]:
    """The model of one tensor, what is read off it, and every number of that as a target."""
    numbers = sum(part.numel() for part in reading.parts)
    if not (isinstance(output, Tensor) and output.is_floating_point()):
        return Read(model, reading.rows), None, list(range(numbers))
    shape = output.shape[1:]
    if func is None and len(shape) and numbers <= TARGETS:
        places = np.stack(np.unravel_index(np.arange(numbers), shape), 1)
        return model, None, [tuple(place) for place in places.tolist()]
    return model, reading.rows, list(range(numbers))


def _repeated(outputs: Any, source: Tensor) -> Any:
    return outputs[source] if isinstance(outputs, Tensor) else [part[source] for part in outputs]
