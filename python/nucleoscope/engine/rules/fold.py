"""A length split into cells: the cells become the positions, the places within them channels."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from nucleoscope.engine.graph import Axes, NotLocal, Rule, Static, vector
from nucleoscope.engine.rows import gather, zero_outside
from nucleoscope.engine.rules.registry import Lowering, sample_shape
from nucleoscope.engine.step import Alias, Step
from nucleoscope.engine.windows import Stencil


@dataclass(frozen=True)
class Fold(Rule):
    """The rows of each cell side by side, channels as (before, within the cell, after), in some order."""

    cell: int
    sizes: tuple[int, int]  # channels of a position as (before, after)
    index: tuple[int, ...]

    def reach(self, index: int) -> Stencil:
        return Stencil(self.cell, self.cell)

    def pack(self, static: Static) -> Tensor:
        return torch.tensor(self.index, device=static("").device)

    def delta(self, step: Step) -> Tensor:
        given, o = step.given(0), step.rows.positions
        parts = [
            gather(given.values, given.rows.find(o * self.cell + at)).unflatten(3, self.sizes)
            for at in range(self.cell)
        ]
        made = torch.stack(parts, 4).flatten(3).index_select(3, step.packed)
        return zero_outside(made, step.rows)


def split_at(axes: Axes) -> int | None:
    """The dimension within the cells, where the length is split into two; None where it is not."""
    return next((dim for dim in range(len(axes.shape)) if axes.cell(dim)), None)


def fold(low: Lowering, node: torch.fx.Node) -> Fold | Alias:
    """An op that moves the axes of a split length, or takes a part of its cells."""
    source: Any = node.args[0]
    axes, shape = low.axes(source), sample_shape(node)
    within = split_at(axes)
    if within is None:
        raise NotLocal("the length axis is merged with another axis here")
    cell, cells = axes.shape[within], axes.shape[within - 1]
    sizes = [1 if dim == within - 1 else size for dim, size in enumerate(axes.shape)]
    ids = torch.arange(prod(sizes)).view(1, *sizes)
    mark = torch.zeros(1, *axes.shape, dtype=torch.bool)
    mark.select(within, min(1, cells - 1)).fill_(True)
    order = torch.arange(cells).view(-1, *[1] * (len(axes.shape) - within)).expand(1, *axes.shape)
    moved, where, kept = (node.target(t, *node.args[1:])[0] for t in (ids, mark, order))  # type: ignore[operator]
    if shape == axes.shape and bool((moved == ids[0]).all() and (where == mark[0]).all()):
        return Alias(low.ripple(source), axes)  # a slice that takes all
    at = cells_dim(where, cells)
    if not bool((kept.movedim(at, -1) == torch.arange(cells)).all()):
        raise NotLocal("it changes the order of the cells of a length")
    out = (
        Axes(shape, prod(shape[:at]), cells, prod(shape[at + 1 :])) if cells > 1 else vector(shape)
    )
    index = tuple(moved.reshape(-1).tolist())
    return Fold((low.ripple(source),), out, (), cell, (axes.left, axes.right), index)


def cells_dim(mark: Tensor, length: int) -> int:
    """The dimension along which only position 1 is marked."""
    for dim, size in enumerate(mark.shape):
        others = [d for d in range(mark.ndim) if d != dim]
        profile = mark.any(others) if others else mark
        if size == length and profile.tolist() == [i == min(1, length - 1) for i in range(length)]:
            return dim
    raise NotLocal("the length axis does not survive it")
