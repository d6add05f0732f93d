"""A knock-out as it is defined: the whole model, with some activations replaced on their way."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def knock_out(
    model: nn.Module,
    norm: nn.Module,  # gives the states of a level, their units on the last axis
    units: slice,
    instead: Tensor,  # [units]
    *inputs: Tensor,  # [N, ...] each
) -> Tensor:  # [N]
    """model(inputs, with the units of a level at `instead`) - model(inputs)."""

    def replaced(_module: nn.Module, _given: object, made: Tensor) -> Tensor:
        held = made.clone()
        held[..., units] = instead
        return held

    with torch.no_grad():
        answer = model(*inputs)
        hook = norm.register_forward_hook(replaced)
        try:
            changed = model(*inputs)
        finally:
            hook.remove()
    difference: Tensor = (changed - answer)[:, 0]
    return difference
