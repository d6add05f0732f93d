"""What tangermeme's callers give: sequences, further inputs, models in any mode on any device."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

HALVES = (torch.float16, torch.bfloat16)


class SoftValues(UserWarning):
    """X is not one-hot; the cast to int8 takes its fractions away."""


def hard(X: Any) -> Tensor:
    """X as int8 on the CPU, every column one letter or none."""
    if not isinstance(X, Tensor) and hasattr(X, "to_one_hot"):
        X = X.to_one_hot()
    if X.is_floating_point() and not torch.equal(X, X.round()):
        warnings.warn(
            "X: it holds fractions, which the cast to int8 takes away: a column of fractions "
            "becomes N. Pass a one-hot encoding.",
            SoftValues,
            stacklevel=3,
        )
    hard: Tensor = X.detach().to(torch.int8).cpu()
    if hard.ndim != 3 or not len(hard):
        raise ValueError(f"X: expected [N, 4, L] with N of 1 or more, got {tuple(hard.shape)}")
    if not (((hard == 0) | (hard == 1)).all() and (hard.sum(1) <= 1).all()):
        raise ValueError("X: every column must be one letter (one-hot) or N (all zero)")
    return hard


def others_as(args: tuple[Tensor, ...] | None, count: int, kind: torch.dtype) -> tuple[Tensor, ...]:
    """The model's further inputs in its number type."""
    args = () if args is None else args
    for index, arg in enumerate(args):
        if len(arg) != count:
            raise ValueError(f"args[{index}]: {len(arg)} rows for the {count} sequences of X")
    return tuple(arg.to(kind) for arg in args)


@contextlib.contextmanager
def ready(model: nn.Module, place: torch.device | None) -> Iterator[torch.device]:
    """The model in eval mode, at `place` or where it is (yielded), and afterwards as it was."""
    home = next((p.device for p in (*model.parameters(), *model.buffers())), place)
    home = home or torch.device("cpu")
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        if place not in (None, home):
            model.to(place)
        yield place or home
    finally:
        for module, training in modes:
            module.training = training
        if place not in (None, home):
            model.to(home)


def autocast(place: torch.device, kind: torch.dtype) -> torch.autocast:
    """Half precision as tangermeme has it; off for other types."""
    return torch.autocast(place.type, kind if kind in HALVES else None, enabled=kind in HALVES)


def typed(model: nn.Module, dtype: str | torch.dtype | None) -> torch.dtype:
    """The number type that inputs are cast to: the model's own where None."""
    native = next((p.dtype for p in model.parameters()), torch.float32)
    kind: torch.dtype = getattr(torch, dtype) if isinstance(dtype, str) else dtype or native
    return kind


def place_of(device: str | torch.device | None) -> torch.device:
    """Where to compute: CUDA where there is one, unless told otherwise."""
    return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
