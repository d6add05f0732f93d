"""Weighted sums of gradients at many points a sequence, streamed: what is held does not grow with the points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from nucleoscope.engine.gradients.backward import Gradients, Inputs
from nucleoscope.engine.gradients.quadrature import Numbers
from nucleoscope.engine.memory import Halving


class Differentiated(Protocol):
    """Gradients of targets at a batch of points, and how many go together."""

    @property
    def rows(self) -> int: ...

    @property
    def device(self) -> torch.device: ...

    def __call__(self, inputs: Inputs, /) -> Gradients: ...


@dataclass(frozen=True)
class Points:
    """Which sequence each point belongs to, and which of that sequence's points it is."""

    row: Tensor  # [B], in rising order
    node: Tensor  # [B]

    def __len__(self) -> int:
        return len(self.row)

    def halves(self) -> tuple[Points, Points]:
        """The first and the second half."""
        cut = len(self) // 2
        return Points(self.row[:cut], self.node[:cut]), Points(self.row[cut:], self.node[cut:])


@dataclass(frozen=True)
class Straight:
    """Points on the straight line from `start` to `end`; the inputs that are further ones stay."""

    start: Inputs  # [N, ...] each, or [1, ...]
    end: Inputs  # [N, ...] each
    rest: Inputs  # [N, ...] each
    nodes: Numbers  # [n] in [0, 1]

    def __call__(self, points: Points) -> Inputs:
        """The model's inputs there, [B, ...] each."""
        moved, rows = [], points.row
        if rows[0] == rows[-1]:  # of one sequence: its ends serve all points
            rows = rows[:1]
        for a, b in zip(self.start, self.end, strict=True):
            row = rows.to(b.device)
            share = torch.from_numpy(self.nodes)[points.node].to(b).view(-1, *[1] * (b.ndim - 1))
            moved.append(torch.lerp(a[row if len(a) > 1 else row * 0], b[row], share))
        return (*moved, *(t[points.row.to(t.device)] for t in self.rest))


def sums(
    backward: Differentiated, place: Callable[[Points], Inputs], count: int, coefficients: Numbers,
    update: Callable[[int], object] = lambda _points: None,
    then: Callable[[Points, Inputs], Inputs] = lambda _points, found: found,
) -> Inputs:  # fmt: skip
    """Sums over each of `count` sequences' points: per input that is asked about [K, N, T, *its shape].

    coefficients [K, n]: the weight of each point in each of K sums; `place` gives the model's inputs at
    points, `then` what is made of the gradients [B, T, ...] there before they are summed.

    Equivalent to::

        out[k, i] = sum(coefficients[k, j] * then(gradient(place(i, j))) for j in range(n))
    """
    many, weights = coefficients.shape[1], torch.from_numpy(coefficients)
    out: list[Tensor] = []
    index = torch.arange(count * many)

    def at(points: Points) -> tuple[Points, Inputs]:
        return points, then(points, backward(place(points)).of)

    batch = Halving(at, backward.device, "one sequence and its gradient")
    for part in index.split(backward.rows):
        for points, found in batch(Points(part // many, part % many)):
            if not out:
                out = [torch.zeros(len(weights), count, *g.shape[1:], dtype=g.dtype) for g in found]
            _add(out, found, weights, points)
            update(len(points))
    return tuple(out)


def _add(out: list[Tensor], found: Inputs, weights: Tensor, points: Points) -> None:
    """A sequence's gradients go into one product, so that they are summed in a fixed order."""
    for total, gradient in zip(out, found, strict=True):
        for row in points.row.unique().tolist():
            own = (points.row == row).nonzero()[:, 0]
            share = weights[:, points.node[own]].to(gradient)  # [K, B]
            chosen = gradient if len(own) == len(points) else gradient[own.to(gradient.device)]
            flat = chosen.flatten(1)
            total[:, row] += (share @ flat).view(len(share), *gradient.shape[1:]).to(total)
