"""Where a path of the further inputs begins: numbers, or tensors like them."""

from __future__ import annotations

from numbers import Real
from typing import Any

import torch
from torch import Tensor


def read_args_baselines(given: Any, others: tuple[Tensor, ...]) -> list[Tensor]:
    """The baselines of the further inputs, [1, ...] or [N, ...]."""
    if given is None:
        given = [0.0] * len(others)
    if (
        isinstance(given, Tensor)
        or not isinstance(given, list | tuple)
        or len(given) != len(others)
    ):
        raise ValueError(f"args_baselines: give one for each of the {len(others)} further inputs")
    made = []
    for i, (one, arg) in enumerate(zip(given, others, strict=True)):
        if isinstance(one, Real):
            made.append(torch.full_like(arg[:1], float(one)))
        elif (
            isinstance(one, Tensor) and one.shape[1:] == arg.shape[1:] and len(one) in (1, len(arg))
        ):
            made.append(one.detach())
        else:
            shape = tuple(one.shape) if isinstance(one, Tensor) else repr(one)
            raise ValueError(
                f"args_baselines[{i}]: {shape}, where a number or a tensor [1 or {len(arg)}, "
                f"{', '.join(map(str, arg.shape[1:]))}] is needed"
            )
    return made
