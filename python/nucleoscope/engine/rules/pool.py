"""Max and average pooling over the length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nucleoscope.engine.chain import Place
from nucleoscope.engine.graph import Axes, Rule, Thin
from nucleoscope.engine.rows import gather, zero_outside
from nucleoscope.engine.rules.conv import axes_of_conv, one_axis
from nucleoscope.engine.rules.registry import Lowering, argument, aten, rule, sample_shape, value
from nucleoscope.engine.step import Step
from nucleoscope.engine.transfer import sent
from nucleoscope.engine.windows import Lattice, Stencil
from nucleoscope.ops import Link


def cells(step: Step, stencil: Stencil, tap: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The input position of one tap of every output row, [W, S]."""
    return step.rows.positions * stencil.stride - stencil.pad + tap * stencil.dilation


@dataclass(frozen=True)
class MaxPool(Rule):
    """max_i(d_i - (m - z_i)) over the cell, m the original maximum: no two large values meet."""

    length_in: int
    stencil: Stencil
    relu: bool = (
        False  # whether it stands behind a ReLU whose input it takes: the order of both is all one
    )

    def reach(self, index: int) -> Stencil:
        return self.stencil

    def steps(self, index: int) -> bool:
        return True

    def looks(self, index: int) -> int | None:
        return None if index else 0

    def thin(self, made: Lattice, given: Sequence[Thin]) -> Rule:
        (of,) = given
        return replace(self, axes=self.axes.on(made), stencil=of.stencil, length_in=of.length)

    @property
    def chained(self) -> bool:
        return True

    def link(self, place: Place) -> Link:
        s, (z, m) = self.stencil, map(place.kept, self.reads)
        return place.link(
            "delta_max_pool", given=place.value(0), original=z, second=m, taps=s.taps,
            stride=s.stride, dilation=s.dilation, pad=s.pad, length_in=self.length_in, relu=self.relu,
        )  # fmt: skip


@dataclass(frozen=True)
class AveragePool(Rule):
    """Linear: the cell's deltas over its divisor, which shrinks at the ends where padding is not counted."""

    stencil: Stencil
    divisors: tuple[float, ...]  # per output position, or one for all

    def reach(self, index: int) -> Stencil:
        return self.stencil

    def steps(self, index: int) -> bool:
        return True

    def thin(self, made: Lattice, given: Sequence[Thin]) -> Rule:
        divisors = self.divisors if len(self.divisors) == 1 else self.divisors[made.cut]
        return replace(self, axes=self.axes.on(made), stencil=given[0].stencil, divisors=divisors)

    @property
    def chained(self) -> bool:
        return len(set(self.divisors)) == 1

    def link(self, place: Place) -> Link:
        s, factors = self.stencil, (1.0 / self.divisors[0], 0.0)
        return place.link(
            "delta_sum", given=place.value(0), factors=factors, taps=s.taps, stride=s.stride, pad=s.pad
        )  # fmt: skip

    def delta(self, step: Step) -> Tensor:
        given, out = step.given(0), step.zeros(self.axes.channels)
        for tap in range(self.stencil.taps):
            out.add_(gather(given.values, given.rows.find(cells(step, self.stencil, tap))))
        position = np.clip(step.rows.positions, 0, len(self.divisors) - 1)
        divisor = sent(np.array(self.divisors)[position], out.device).to(out.dtype)
        return zero_outside(out.div_(divisor[:, :, None, None]), step.rows)


def _geometry(
    low: Lowering, node: torch.fx.Node, spatial: int, dilation: Any
) -> tuple[str, Axes, Axes, Stencil]:
    source: Any = node.args[0]
    axes = low.axes(source)
    kernel = argument(node, 1, "kernel_size", None)
    stride = argument(node, 2, "stride", None) or kernel
    padding = argument(node, 3, "padding", [0])
    g = one_axis(
        axes, spatial, collapse=False, kernel=kernel, stride=stride, pad=padding, dilation=dilation
    )
    out = axes_of_conv(sample_shape(node), axes)
    return low.ripple(source), axes, out, Stencil(g.kernel, g.stride, g.dilation, g.pad)


@rule(aten.max_pool1d.default, aten.max_pool2d.default)
def lower_max_pool(low: Lowering, node: torch.fx.Node) -> MaxPool:
    spatial = 1 if node.target is aten.max_pool1d.default else 2
    dilation = argument(node, 4, "dilation", [1])
    name, axes, out, stencil = _geometry(low, node, spatial, dilation)
    return MaxPool((name,), out, (value(node, 0).name, node.name), axes.length, stencil)


@rule(aten.avg_pool1d.default, aten.avg_pool2d.default)
def lower_average_pool(low: Lowering, node: torch.fx.Node) -> AveragePool:
    spatial = 1 if node.target is aten.avg_pool1d.default else 2
    name, axes, out, stencil = _geometry(low, node, spatial, [1])
    counted = bool(argument(node, 5, "count_include_pad", True))
    fixed = argument(node, 6, "divisor_override", None)
    if fixed is not None:
        return AveragePool((name,), out, (), stencil, (float(fixed),))
    first = np.arange(out.length) * stencil.stride - stencil.pad
    last = first + stencil.taps
    margin = stencil.pad if counted else 0
    divisors = np.minimum(last, axes.length + margin) - np.maximum(first, -margin)
    return AveragePool((name,), out, (), stencil, tuple(float(d) for d in divisors))
