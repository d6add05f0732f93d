"""Straight paths behind a first convolution: that is affine, so its two ends make it at every node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from nucleoscope.engine.gradients.backward import Backward, Gradients, Inputs
from nucleoscope.engine.gradients.path import Points, sums
from nucleoscope.engine.gradients.quadrature import LEAST, Numbers
from nucleoscope.engine.gradients.traced_gradient import TracedGradient
from nucleoscope.engine.values.held import Held

SHARE = 4  # the part of the budget that ends, gradients and sums may take is one in so many
SAID = "made of its two ends at every node, gone back through once a sum"
SUMS = 12  # of the nested rules that hold most


@dataclass(frozen=True)
class Behind:
    """Gradients of targets by what enters the first layer's ReLU; asked for at what leaves it, [B, L, C]."""

    backward: Backward
    program: TracedGradient
    first: Held

    @property
    def rows(self) -> int:
        """How many points go together."""
        return self.backward.rows

    @property
    def device(self) -> torch.device:
        """Where it is computed."""
        return self.backward.device

    def __call__(self, inputs: Inputs) -> Gradients:
        """Values [B, T] and gradients [B, T, L, C]; they may be no finite numbers."""
        values, of = self.backward.by(self.program.behind, inputs)
        of = of.contiguous()  # a pool gives it with the channels outside
        if self.first.layer.relu:
            y = inputs[0].unsqueeze(1)
            torch.ops.aten.threshold_backward.grad_input(of, y.expand_as(of), 0, grad_input=of)
        return Gradients(values, (of,))

    def sums(
        self, start: Tensor, end: Tensor, rest: Inputs, nodes: Numbers, share: Numbers,
        update: Callable[[int], object],
    ) -> Tensor | None:  # fmt: skip
        """Sums [K, N, T, *shape of X] over the points of straight paths; None where they are not finite.

        start [1 or N, ...], end [N, ...]: two convolutions a path, and one back for each of K sums. What is held
        is of as many paths as fill a batch.

        Equivalent to::

            path.sums(backward, Straight((start,), (end,), rest, nodes), len(end), share)
        """
        made, together = [], max(1, -(-self.rows // len(nodes)))
        for first in range(0, len(end), together):
            rows = slice(first, first + together)
            begun = self._made(start[rows] if len(start) > 1 else start)
            ended, others = self._made(end[rows]), tuple(t[rows] for t in rest)
            place = _Between(begun, ended, others, nodes, self.first.layer.relu)
            (found,) = sums(self, place, len(ended), share, update)
            if not bool(torch.isfinite(found).all()):
                return None
            by_x = self.first.back_through(found.flatten(0, 2), end.shape[2])
            made.append(by_x.unflatten(0, found.shape[:3]))
        return torch.cat(made, 1)

    def _made(self, X: Tensor) -> Tensor:
        """What the convolution makes of inputs, [N, L, C]."""
        with torch.no_grad():
            return self.first.before_relu(X, None).mT


@dataclass(frozen=True)
class _Between:
    """What the first layer makes at points: its ReLU of what lies between its ends, a point at a time in cache."""

    start: Tensor  # [N or 1, L, C]
    end: Tensor  # [N, L, C]
    rest: Inputs
    nodes: Numbers
    relu: bool

    def __call__(self, points: Points) -> Inputs:
        made = self.end.new_empty(len(points), *self.end.shape[1:])
        for y, row, node in zip(made, points.row.tolist(), points.node.tolist(), strict=True):
            begun = self.start[row if len(self.start) > 1 else 0]
            torch.lerp(begun, self.end[row], float(self.nodes[node]), out=y)
            if self.relu:
                y.relu_()
        return (made, *(t[points.row.to(t.device)] for t in self.rest))


def interpolated(backward: Backward) -> Behind | None:
    """The way behind the first convolution, where a trace has one that alone reads X, and what it holds fits.

    That is what leaves the layer and its gradient for each target, of all points of a batch and in the sums of as
    many paths as fill one.
    """
    program = backward.differentiated
    if program is None or (first := program.program.first) is None:
        return None
    value = first.layer.nodes[-1].meta["val"]
    many = backward.rows + SUMS * -(-backward.rows // LEAST)
    held = many * (1 + backward.look.targets) * prod(value.shape[1:]) * value.element_size()
    return Behind(backward, program, first) if SHARE * held <= backward.memory else None
