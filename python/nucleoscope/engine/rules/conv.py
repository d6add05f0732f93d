"""Convolution: linear in the delta, over live (row, tap) pairs only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nucleoscope.engine.graph import Axes, NotLocal, Rule, Static
from nucleoscope.engine.rows import Delta, Rows, fill_rows
from nucleoscope.engine.rules.registry import Lowering, argument, aten, rule, sample_shape, value
from nucleoscope.engine.step import Step
from nucleoscope.engine.windows import Stencil
from nucleoscope.ops import edit_lookup


@dataclass(frozen=True)
class Conv(Rule):
    """A convolution over the length, an eval BatchNorm's scale folded in where one follows."""

    channels_in: int
    stencil: Stencil
    weight: str
    groups: int = 1
    order: tuple[int, ...] = ()  # of a linear over a flattened length: (left, length, right)
    scale: Callable[[Static], Tensor] | None = None

    def reach(self, index: int) -> Stencil:
        return self.stencil

    def pack(self, static: Static) -> Tensor:
        """[taps, C_in / groups, C_out]."""
        weight = static(self.weight)
        if self.order:
            left, length, right = self.order
            cube = weight.reshape(len(weight), left, length, right)
            taps = cube.permute(2, 1, 3, 0).reshape(length, left * right, len(weight))
        else:
            taps = weight.reshape(len(weight), -1, self.stencil.taps).permute(2, 1, 0)
        return (taps if self.scale is None else taps * self.scale(static)).contiguous()

    def delta(self, step: Step) -> Tensor:
        if step.entry and self.groups == 1:
            return self._look_up(step)
        given, taps = step.given(0), list(self._live_taps(step.given(0).rows, step.rows))
        out, begun = self._begin(step, given, taps)
        for tap in taps:
            if tap != begun:
                add_tap(out, given, step.rows, self.stencil, tap, step.packed[tap], self.groups)
        return zero_outside(out, step.rows)

    def _begin(self, step: Step, given: Delta, taps: list[int]) -> tuple[Tensor, int | None]:
        """The output with one tap's product written to it, which saves a pass over zeros; or zeros."""
        first = step.rows.shift(given.rows) if self.stencil.stride == 1 else None
        if first is None or self.groups != 1 or not taps:
            return step.zeros(self.axes.channels), None
        tap = taps[len(taps) // 2]
        block = meet(first - tap * self.stencil.dilation + self.stencil.pad, given.rows, step.rows)
        if block is None:
            return step.zeros(self.axes.channels), None
        out = step.empty(self.axes.channels)
        (lo, hi), source = block
        out[:lo].zero_()
        out[hi:].zero_()
        flat = given.values[source].flatten(0, 2)
        torch.mm(flat, step.packed[tap], out=out[lo:hi].view(-1, self.axes.channels))
        return out, tap

    def _live_taps(self, rows_in: Rows, rows_out: Rows) -> range:
        """The taps that any kept input row meets: all of them, but for flatten -> linear."""
        if rows_out.length > 1 or self.stencil.dilation > 1:
            return range(self.stencil.taps)
        low = min(int(s.min()) for s in rows_in.starts)
        high = max(int(s.max()) + w for s, w in zip(rows_in.starts, rows_in.widths, strict=True))
        first = self.stencil.pad + low
        return range(max(first, 0), min(self.stencil.pad + high, self.stencil.taps))

    def _look_up(self, step: Step) -> Tensor:
        """The first layer: one edited column is one row of the weight table for each output row."""
        s, edits = self.stencil, step.edits
        offset = edits.site + s.pad - step.rows.positions * s.stride  # [W, S]
        taps = np.where(offset % s.dilation == 0, offset // s.dilation, -1)
        taps[(taps < 0) | (taps >= s.taps)] = -1
        table = step.packed
        if len(edits.ambiguous):
            table = torch.cat([table, edits.ambiguous.to(table) @ table], dim=1)
        index = [
            torch.from_numpy(a.astype(np.int32)).to(table.device)
            for a in (taps, edits.old, edits.new)
        ]
        return zero_outside(edit_lookup(table, *index), step.rows)

    def work(self, rows_in: int, rows_out: int) -> int:
        live = rows_in * self.stencil.taps // self.stencil.stride
        if rows_out == 1 and self.axes.length == 1:
            live = rows_in
        width = max(self.stencil.taps, 1)
        return min(live, rows_out * width) * self.channels_in // self.groups * self.axes.channels


def add_tap(
    out: Tensor, given: Delta, rows: Rows, stencil: Stencil, tap: int, weight: Tensor, groups: int
) -> None:
    """Add one tap's product over its live rows to out [W, S, E, C_out]."""
    distance = tap * stencil.dilation - stencil.pad
    first = rows.shift(given.rows) if stencil.stride == 1 else None
    if first is not None:  # every site alike: a block of rows meets a block of rows
        block = meet(first - distance, given.rows, rows)
        if block is not None:
            (lo, hi), source = block
            multiply_add(out[lo:hi], given.values[source], weight, groups)
        return
    index = given.rows.find(rows.positions * stencil.stride + distance)
    to, site = np.nonzero(index >= 0)
    if len(to) == 0:
        return
    sites = rows.sites
    origin = torch.from_numpy(index[to, site] * sites + site).to(out.device)
    target = torch.from_numpy(to * sites + site).to(out.device)
    picked = given.values.flatten(0, 1).index_select(0, origin)
    if groups == 1:
        product = (picked.view(-1, picked.shape[-1]) @ weight).view(len(picked), *out.shape[2:])
    else:
        product = picked.new_zeros((len(picked), *out.shape[2:]))
        multiply_add(product, picked, weight, groups)
    out.view(-1, *out.shape[2:]).index_add_(0, target, product)


def meet(first: int, given: Rows, rows: Rows) -> tuple[tuple[int, int], slice] | None:
    """Which output rows the given rows fall on if their first falls on `first`, and which these are."""
    lo, hi = max(first, 0), min(first + given.width, rows.width)
    return ((lo, hi), slice(lo - first, hi - first)) if lo < hi else None


def multiply_add(out: Tensor, values: Tensor, weight: Tensor, groups: int) -> None:
    """out [..., C_out] += values [..., C_in] @ weight [C_in / groups, C_out], group by group."""
    flat, given = out.view(-1, out.shape[-1]), values.reshape(-1, values.shape[-1])
    if groups == 1:
        flat.addmm_(given, weight)
    elif groups == flat.shape[1] == given.shape[1]:
        flat.addcmul_(given, weight)
    else:
        blocks = weight.view(weight.shape[0], groups, -1).transpose(0, 1)  # [G, C_in/G, C_out/G]
        product = torch.bmm(given.view(len(given), groups, -1).transpose(0, 1), blocks)
        flat.view(len(flat), groups, -1).add_(product.transpose(0, 1))


def zero_outside(out: Tensor, rows: Rows) -> Tensor:
    """Positions beyond the layer's ends do not exist: their delta is zero."""
    if rows.outside is not None:
        fill_rows(out, rows.outside, 0.0)
    return out


@dataclass(frozen=True)
class Geometry:
    """The one spatial axis of a convolution or pool that carries the length."""

    kernel: int
    stride: int
    pad: int
    dilation: int


def one_axis(axes: Axes, spatial: int, collapse: bool = True, **sizes: Any) -> Geometry:
    """Reduce 1-d or dummy-axis 2-d arguments to the length axis; refuse a second real axis.

    A convolution may collapse the other axis (its kernel covers it); a pool may only leave it alone.
    """
    dim = axes.dim
    if dim is None or axes.right != 1:
        raise NotLocal("the length is not the last axis longer than 1")
    if len(axes.shape) != spatial + 1 or dim == 0:
        raise NotLocal("the length is not one of its spatial axes")
    per_axis = {k: list(v) if isinstance(v, list | tuple) else [v] for k, v in sizes.items()}
    per_axis = {k: v * spatial if len(v) == 1 else v for k, v in per_axis.items()}
    for axis in range(spatial):
        if axis != dim - 1:
            across = axes.shape[1 + axis]
            if (
                per_axis["kernel"][axis] != (across if collapse else 1)
                or per_axis["pad"][axis] != 0
            ):
                raise NotLocal("its second spatial axis is not a dummy axis")
    at = dim - 1
    return Geometry(*(int(per_axis[k][at]) for k in ("kernel", "stride", "pad", "dilation")))


@rule(aten.conv1d.default, aten.conv1d.padding, aten.conv2d.default, aten.conv2d.padding)
def lower_conv(low: Lowering, node: torch.fx.Node) -> Conv:
    source, weight = value(node, 0), value(node, 1)
    name, axes = low.ripple(source), low.axes(source)
    if not low.is_static(weight):
        raise NotLocal("its weights depend on the input")
    size = weight.meta["val"].shape
    spatial, kernel = len(size) - 2, [int(k) for k in size[2:]]
    dilation = argument(node, 5, "dilation", [1])
    padding = argument(node, 4, "padding", [0])
    if isinstance(padding, str):
        spread = [(k - 1) * d for k, d in zip(kernel, list(dilation) * spatial, strict=False)]
        padding = [0 if padding == "valid" else s // 2 for s in spread]
    stride = argument(node, 3, "stride", [1])
    g = one_axis(axes, spatial, kernel=kernel, stride=stride, pad=padding, dilation=dilation)
    groups = int(argument(node, 6, "groups", 1))
    if groups > 1 and axes.channels != axes.shape[0]:
        raise NotLocal("a grouped convolution over a second spatial axis")
    shape = sample_shape(node)
    out = axes_of_conv(shape, axes)
    stencil = Stencil(g.kernel, g.stride, g.dilation, g.pad)
    return Conv((name,), out, (), axes.channels, stencil, weight.name, groups)


def axes_of_conv(shape: tuple[int, ...], axes: Axes) -> Axes:
    """Axes of a convolution's or pool's output: channels before, the length in the same place."""
    dim = axes.dim
    assert dim is not None
    left = int(np.prod(shape[:dim]))
    return Axes(shape, left, shape[dim], int(np.prod(shape[dim + 1 :])))


@rule(aten.linear.default)
def lower_linear(low: Lowering, node: torch.fx.Node) -> Conv | Linear:
    source, weight = value(node, 0), value(node, 1)
    name, axes = low.ripple(source), low.axes(source)
    if not low.is_static(weight):
        raise NotLocal("its weights depend on the input")
    wide = int(weight.meta["val"].shape[1])
    shape = sample_shape(node)
    if axes.length == 1:
        return Linear((name,), Axes(shape, 1, 1, int(np.prod(shape))), (), weight.name, wide)
    if axes.shape == (wide,):  # flattened: every position has its own columns
        order = (axes.left, axes.length, axes.right)
        out = Axes(shape, 1, 1, shape[0])
        stencil = Stencil(taps=axes.length)
        return Conv((name,), out, (), axes.channels, stencil, weight.name, order=order)
    if axes.dim is None or axes.dim == len(axes.shape) - 1 or axes.right % wide:
        raise NotLocal("it mixes positions along the length")
    right = axes.right // wide * shape[-1]
    return Linear((name,), Axes(shape, axes.left, axes.length, right), (), weight.name, wide)


@dataclass(frozen=True)
class Linear(Rule):
    """A position-wise linear over the last axis (or over a plain vector)."""

    weight: str
    wide: int

    def reach(self, index: int) -> Stencil:
        return Stencil()

    def pack(self, static: Static) -> Tensor:
        return static(self.weight).t().contiguous()

    def delta(self, step: Step) -> Tensor:
        given = step.seen(0)
        assert given is not None
        made: Tensor = given.reshape(-1, self.wide) @ step.packed
        return made.view(*given.shape[:3], self.axes.channels)

    def work(self, rows_in: int, rows_out: int) -> int:
        return rows_out * self.wide * self.axes.channels


def with_scale(conv: Conv, axes: Axes, scale: Callable[[Static], Tensor]) -> Conv:
    """The convolution with a per-channel factor behind it folded into its weights."""
    return replace(conv, axes=axes, scale=scale)
