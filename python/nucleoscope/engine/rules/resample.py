"""Positions between those that are there: nearest and linear upsampling, repeats, adaptive pools."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nucleoscope.engine.graph import Axes, NotLocal, Rule
from nucleoscope.engine.rows import Ints, fill_rows, gather, zero_outside
from nucleoscope.engine.rules.pool import AveragePool, MaxPool
from nucleoscope.engine.rules.registry import Lowering, argument, aten, rule, sample_shape, value
from nucleoscope.engine.step import Step
from nucleoscope.engine.transfer import sent
from nucleoscope.engine.windows import Sampling, Stencil

Weight = Any  # a number, or an array [W, S] of them


@dataclass(frozen=True)
class Resampled(Rule):
    """Each output position a weighted sum of a few input positions: linear in the delta."""

    length_in: int
    where: Sampling

    def reach(self, index: int) -> Sampling:
        return self.where

    def parts(self, o: Ints) -> Iterator[tuple[Ints, Weight]]:
        """The input positions that output positions read, and their weights."""
        yield self.held(self.where.source(o)), 1.0

    def held(self, position: Ints) -> Ints:
        """Positions beyond an end are that end."""
        return np.clip(position, 0, self.length_in - 1)

    def delta(self, step: Step) -> Tensor:
        given, out = step.given(0), step.zeros(self.axes.channels)
        for position, weight in self.parts(step.rows.positions):
            values = gather(given.values, given.rows.find(position))
            if not isinstance(weight, float):
                weight = sent(weight, out.device).to(out.dtype)[:, :, None, None]
            out.addcmul_(values, weight) if isinstance(weight, Tensor) else out.add_(values)
        return zero_outside(out, step.rows)

    def work(self, rows_in: int, rows_out: int) -> int:
        return rows_out * self.where.taps * self.axes.channels


@dataclass(frozen=True)
class Interpolated(Resampled):
    """Between two neighbours, by the distance to each."""

    def parts(self, o: Ints) -> Iterator[tuple[Ints, Weight]]:
        where = self.where
        first = where.source(o)
        beyond = (o * where.step + where.first - first * where.parts) / where.parts
        yield self.held(first), 1.0 - beyond
        yield self.held(first + 1), beyond


@dataclass(frozen=True)
class UnevenMean(Resampled):
    """Adaptive average pooling: cells of the sizes that come out where they do not divide the length."""

    def parts(self, o: Ints) -> Iterator[tuple[Ints, Weight]]:
        where = self.where
        first = where.source(o)
        size = cell_sizes(where, o)
        for tap in range(where.taps):
            yield self.held(first + tap), np.where(tap < size, 1.0 / size, 0.0)


def _ratio(node: torch.fx.Node, before: int, after: int) -> Fraction:
    """Inputs per output."""
    scales: Any = argument(node, len(node.args) - 1, "scale_factors", None)
    if not isinstance(scales, list | tuple):
        return Fraction(before, after)
    scale = Fraction(scales[0]).limit_denominator(1024)
    if float(scale) != scales[0]:
        raise NotLocal(f"its scale {scales[0]} is no fraction of small numbers; give it size=")
    return 1 / scale


def _checked(made: Resampled, node: torch.fx.Node) -> Resampled:
    """The rule, if its positions and weights are those of the op itself: that rounds their ratio."""
    ramp = torch.arange(made.length_in, dtype=torch.float64).view(1, 1, -1)
    said = node.target(ramp, *node.args[1:], **node.kwargs).flatten().numpy()  # type: ignore[operator]
    ours = sum(at * weight for at, weight in made.parts(np.arange(made.axes.length)[:, None]))
    if not np.allclose(np.asarray(ours).ravel(), said, rtol=0, atol=1e-9 * made.length_in):
        raise NotLocal("its scale is rounded to positions that no ratio of whole numbers gives")
    return made


NEAREST = (aten.upsample_nearest1d.vec, aten._upsample_nearest_exact1d.vec)


@rule(*NEAREST, aten.upsample_linear1d.vec)
def lower_upsample(low: Lowering, node: torch.fx.Node) -> Resampled | Interpolated:
    source: Any = node.args[0]
    axes, after = low.axes(source), sample_shape(node)[-1]
    if axes.length == 1 or axes.dim != len(axes.shape) - 1:
        raise NotLocal("it resizes an axis other than the length")
    ratio = _ratio(node, axes.length, after)
    p, q = ratio.numerator, ratio.denominator
    out, name = axes.with_length(after), low.ripple(source)
    if node.target is aten.upsample_nearest1d.vec:
        return _checked(Resampled((name,), out, (), axes.length, Sampling(q, p)), node)
    if node.target in NEAREST:
        return _checked(Resampled((name,), out, (), axes.length, Sampling(2 * q, 2 * p, p)), node)
    if not argument(node, 2, "align_corners", False):
        where = Sampling(2 * q, 2 * p, p - q, taps=2)
    elif after == 1:
        raise NotLocal("it makes one position of all by its corners")
    else:
        where = Sampling(after - 1, axes.length - 1, taps=2)
    return _checked(Interpolated((name,), out, (), axes.length, where), node)


@rule(aten.repeat_interleave.self_int)
def lower_repeat(low: Lowering, node: torch.fx.Node) -> Resampled:
    source: Any = node.args[0]
    axes, times, dim = low.axes(source), int(node.args[1]), argument(node, 2, "dim", None)  # type: ignore[arg-type]
    if (
        axes.length == 1
        or axes.dim is None
        or dim is None
        or dim % (len(axes.shape) + 1) != axes.dim + 1
    ):
        raise NotLocal("it repeats an axis other than the length")
    out = axes.with_length(axes.length * times)
    return Resampled((low.ripple(source),), out, (), axes.length, Sampling(times))


@dataclass(frozen=True)
class Interleaved(Rule):
    """Channels laid between the positions: a reshape that makes a longer length of both."""

    sizes: tuple[int, int, int]  # channels as (before, laid out, after)

    def reach(self, index: int) -> Sampling:
        return Sampling(self.sizes[1])

    def delta(self, step: Step) -> Tensor:
        given = step.given(0)
        times = self.sizes[1]
        where = step.rows.positions
        picked = gather(given.values, given.rows.find(where // times))
        cube = picked.view(*picked.shape[:3], *self.sizes)
        phase = sent(where % times, cube.device)[:, :, None, None, None, None]
        made = cube.gather(4, phase.expand(*cube.shape[:4], 1, cube.shape[5]))
        return zero_outside(made.reshape(*picked.shape[:3], -1), step.rows)


@dataclass(frozen=True)
class UnevenMaximum(Rule):
    """max_i(d_i - (m - z_i)) over cells of the sizes that come out, as MaxPool."""

    where: Sampling

    def reach(self, index: int) -> Sampling:
        return self.where

    def looks(self, index: int) -> int | None:
        return None if index else 0

    def delta(self, step: Step) -> Tensor:
        given, o, (z, m) = step.given(0), step.rows.positions, self.reads
        first, size = self.where.source(o), cell_sizes(self.where, o)
        out, highest = step.zeros(self.axes.channels).fill_(-torch.inf), step.original(m)
        for tap in range(self.where.taps):
            at = first + tap
            below = highest - step.originals.picked(z, at, step.edits.sequence)
            moved = gather(given.values, given.rows.find(at)) - below
            torch.maximum(out, fill_rows(moved, tap >= size, -torch.inf), out=out)
        return zero_outside(out, step.rows)


def cell_sizes(where: Sampling, o: Ints) -> Ints:
    """How many inputs adaptive pooling takes for each output."""
    sizes: Ints = -(-(o + 1) * where.step // where.parts) - where.source(o)
    return sizes


def _cells(low: Lowering, node: torch.fx.Node) -> tuple[str, Axes, Sampling, Stencil | None]:
    """Adaptive pooling's input, output and cells; as a stencil too where all have one size."""
    source: Any = node.args[0]
    sizes: Any = node.args[1]
    axes, made = low.axes(source), int(sizes[0])
    if axes.length == 1 or axes.dim != len(axes.shape) - 1:
        raise NotLocal("adaptive pooling not along the length")
    where, (taps, rest) = Sampling(made, axes.length), divmod(axes.length, made)
    widest = int(cell_sizes(where, np.arange(made)).max())
    even = None if rest else Stencil(taps, taps)
    return low.ripple(source), axes.with_length(made), replace(where, taps=widest), even


@rule(aten.adaptive_avg_pool1d.default)
def lower_adaptive_average(low: Lowering, node: torch.fx.Node) -> AveragePool | UnevenMean:
    name, out, where, even = _cells(low, node)
    if even is not None:
        return AveragePool((name,), out, (), even, (float(even.taps),))
    return UnevenMean((name,), out, (), low.axes(value(node, 0)).length, where)


@rule(aten.adaptive_max_pool1d.default)
def lower_adaptive_maximum(low: Lowering, node: torch.fx.Node) -> MaxPool | UnevenMaximum:
    name, out, where, even = _cells(low, node)
    reads = (value(node, 0).name, node.name)
    if even is not None:
        return MaxPool((name,), out, reads, low.axes(value(node, 0)).length, even)
    return UnevenMaximum((name,), out, reads, where)
