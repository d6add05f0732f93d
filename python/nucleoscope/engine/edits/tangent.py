"""What lies behind the seam, to first order: each target's gradient there, at the original, times the deltas.

Every value that the tail reads is a leaf of its own: of values joined in one graph (a skip, and the
pooled tower that is made of it) a gradient holds those of all that follow, and effects come out several
times too large while they still correlate.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from nucleoscope.engine.planning.plan import Plan
from nucleoscope.engine.rows import Delta, Ints
from nucleoscope.engine.transfer import sent
from nucleoscope.engine.values.forward import Forward


class Tangent:
    """The gradient of a group's targets at all that their tail reads."""

    def __init__(
        self, plan: Plan, forward: Forward, whole: Mapping[str, Tensor], steady: Mapping[str, Tensor]
    ) -> None:  # fmt: skip
        assert plan.target is not None
        leaves = {name: whole[name].detach().requires_grad_() for name in plan.graph.frontier}
        count = len(next(iter(leaves.values())))
        with torch.enable_grad():
            output = forward.tail({**leaves, **steady}, count)
            values = plan.target.of_values(output).sum(0)  # sequences do not meet
            parts = [
                torch.autograd.grad(
                    value, list(leaves.values()), retain_graph=True, materialize_grads=True
                )
                for value in values
            ]
        self._targets, self._resolve = len(values), plan.graph.resolve
        self._gradients = {  # [N, length, C, T]
            name: torch.stack([plan.axes(name).rows(g) for g in found], 3)
            for name, found in zip(leaves, zip(*parts, strict=True), strict=True)
        }

    def __call__(self, deltas: Mapping[str, Delta], sequence: Ints, zero: Tensor) -> Tensor:
        """The changes [S, E, T] by edits whose deltas [W, S, E, C] enter the tail; `zero` is [S, E, 1]."""
        change = zero.expand(-1, -1, self._targets).clone()
        for name, gradient in self._gradients.items():
            delta = deltas.get(self._resolve(name))
            if delta is not None:
                change += _product(delta, gradient, sequence)
        return change


def _product(delta: Delta, gradient: Tensor, sequence: Ints) -> Tensor:
    """delta [W, S, E, C], zero beyond the ends, times the gradient [N, L, C, T] where it stands: [S, E, T]."""
    rows = delta.rows
    place = np.clip(rows.positions, 0, rows.length - 1) + sequence * rows.length  # [W, S]
    there = gradient.flatten(0, 1).index_select(0, sent(place.T.reshape(-1), gradient.device))
    sites, many = delta.values.shape[1:3]
    own = there.view(sites, -1, gradient.shape[3])  # [S, W * C, T]
    return delta.values.permute(1, 2, 0, 3).reshape(sites, many, -1) @ own
