"""Sums and means over the length, the channels, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch
from torch import Tensor

from nucleoscope.engine.chain import Place
from nucleoscope.engine.graph import Axes, NotLocal, Rule, Thin, vector
from nucleoscope.engine.rules.pool import AveragePool
from nucleoscope.engine.rules.registry import Lowering, argument, aten, rule, sample_shape
from nucleoscope.engine.rules.softmax_pool import SoftmaxPool, softmax_pool
from nucleoscope.engine.step import Step
from nucleoscope.engine.windows import SAME, Lattice, Stencil
from nucleoscope.ops import Link


@dataclass(frozen=True)
class Reduction(Rule):
    """A sum over the length or a part of it, over some channel axes, or both, times a factor.

    Over the length it is the sum of the window: what lies outside does not change.
    """

    length_in: int
    along: bool  # whether the length is summed
    sizes: tuple[int, ...]  # the channels as axes
    dims: tuple[int, ...]  # which of them are summed
    factor: float
    first: int = 0  # of the positions that are summed

    def reach(self, index: int) -> Stencil:
        return Stencil(taps=self.length_in, pad=-self.first) if self.along else SAME

    def thin(self, made: Lattice, given: Sequence[Thin]) -> Rule:
        first = -given[0].stencil.pad if self.along else self.first
        return replace(self, axes=self.axes.on(made), first=first)

    @property
    def chained(self) -> bool:
        return self.along and not self.dims

    def link(self, place: Place) -> Link:
        factors = (self.factor, 0.0)
        return place.link(
            "delta_sum", given=place.value(0), factors=factors, taps=self.length_in, pad=-self.first
        )

    def delta(self, step: Step) -> Tensor:
        given = step.given(0)
        values = given.values.sum(0, keepdim=True) if self.along else given.on(step.rows)
        if self.dims:
            cube = values.reshape(*values.shape[:3], *self.sizes)
            values = cube.sum([3 + d for d in self.dims]).reshape(*values.shape[:3], -1)
        return values * self.factor


@rule(aten.mean.dim, aten.sum.dim_IntList, aten.mean.default)
def lower_reduction(low: Lowering, node: torch.fx.Node) -> Reduction | SoftmaxPool | AveragePool:
    pool = softmax_pool(low, node) or _of_cells(low, node)
    if pool is not None:
        return pool
    source: Any = node.args[0]
    axes, shape, name = low.axes(source), sample_shape(node), low.ripple(source)
    rank = len(axes.shape) + 1
    given: Any = argument(node, 1, "dim", None)
    dims = [d % rank for d in given] if given else list(range(rank))
    if 0 in dims:
        raise NotLocal("it averages over the batch")
    averages = node.target is aten.mean.dim
    over = [d - 1 for d in dims]
    factor = 1.0 / prod(axes.shape[d] for d in over) if averages else 1.0
    if axes.length > 1 and axes.dim is None:
        raise NotLocal("the length axis is merged with another axis here")
    dim = axes.dim if axes.length > 1 else None
    sizes = tuple(1 if d == dim else size for d, size in enumerate(axes.shape))
    summed = tuple(d for d in over if d != dim)
    if dim is None or dim in over:
        along = dim is not None
        return Reduction((name,), vector(shape), (), axes.length, along, sizes, summed, factor)
    keep = bool(argument(node, 2, "keepdim", False))
    kept = [1 if d in over else s for d, s in enumerate(axes.shape) if keep or d not in over]
    at = dim if keep else dim - sum(d < dim for d in over)
    out = Axes(tuple(kept), prod(kept[:at]), axes.length, prod(kept[at + 1 :]))
    return Reduction((name,), out, (), axes.length, False, sizes, summed, factor)


def _of_cells(low: Lowering, node: torch.fx.Node) -> AveragePool | None:
    """A sum or mean within the cells of a length that was split: an average pool."""
    source: Any = node.args[0]
    axes = low.axes(source)
    dims: Any = argument(node, 1, "dim", None) or ()
    taps = axes.cell(dims[0] % (len(axes.shape) + 1) - 1) if len(dims) == 1 else None
    if taps is None:
        return None
    shape, cells = sample_shape(node), axes.length // taps
    out = vector(shape) if cells == 1 else Axes(shape, axes.left, cells, axes.right)
    divisor = float(taps) if node.target is aten.mean.dim else 1.0
    return AveragePool((low.ripple(source),), out, (), Stencil(taps, taps), (divisor,))
