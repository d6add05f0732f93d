"""What a model takes at its full size, counted on shapes alone: nothing is allocated, nothing is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from nucleoscope.methods.edits.loop_batch import Alive


@dataclass(frozen=True)
class Footprint:
    """Bytes of a model and one sequence."""

    weights: int
    forward: int  # the most that an ordinary forward holds at one time, beside the weights
    graph: int  # the most where it is kept for a gradient


def footprint(make: Callable[[], nn.Module], inputs: list[tuple[int, ...]]) -> Footprint:
    """Of the model that `make` gives, on one sequence with inputs of these shapes (without the batch)."""
    with torch.device("meta"):
        net = make().eval()
        given = [torch.empty(1, *shape) for shape in inputs]
    held = [*net.parameters(), *net.buffers()]
    weights = sum(t.numel() * t.element_size() for t in held)
    peaks = []
    for differentiable in (False, True):
        with torch.set_grad_enabled(differentiable), Alive(held) as live:
            made = net(*(t.detach().clone().requires_grad_(differentiable) for t in given))
        peaks.append(live.most)
        del made
    return Footprint(weights, *peaks)
