"""Convolution: linear in the delta, over live (row, tap) pairs only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nucleoscope.engine.chain import Place
from nucleoscope.engine.graph import Axes, NotLocal, Rule, Static, Thin, vector
from nucleoscope.engine.rules.registry import Lowering, argument, aten, rule, sample_shape, value
from nucleoscope.engine.step import Step
from nucleoscope.engine.windows import SAME, Lattice, Stencil
from nucleoscope.ops import Link, pack_weight, to_bf16, to_tf32


@dataclass(frozen=True)
class Conv(Rule):
    """A convolution over the length, or a linear layer, with what is done to its output at once.

    An eval BatchNorm's scale is folded into the weights. A ReLU (where `reads` names its input) and a
    second input, the residual, are taken before a delta is stored.
    """

    channels_in: int
    stencil: Stencil
    weight: str
    groups: int = 1
    order: tuple[int, ...] = ()  # of a linear over a flattened length: (left, length, right)
    first: bool = False  # whether its input is the edited sequence itself
    scale: Callable[[Static], Tensor] | None = None
    residual_first: bool = False  # whether the residual is added before the ReLU
    turned: bool = False  # whether the weight is a matrix [in, out]

    def reach(self, index: int) -> Stencil:
        return SAME if index else self.stencil

    def steps(self, index: int) -> bool:
        return index == 0

    def thin(self, made: Lattice, given: Sequence[Thin]) -> Rule:
        return replace(self, axes=self.axes.on(made), stencil=given[0].stencil)

    @property
    def looks_up(self) -> bool:
        """Whether its input's edited column selects rows of a table: there is nothing to multiply."""
        return self.first and self.groups == 1

    def on_columns(self) -> Rule:
        return replace(self, first=False)

    def pack(self, static: Static) -> Tensor:
        weight = self.taken(static)
        if self.order:
            left, length, right = self.order
            cube = weight.reshape(len(weight), left, length, right)
            taps = cube.permute(2, 1, 3, 0).reshape(length, left * right, len(weight))
        else:
            taps = weight.reshape(len(weight), -1, self.stencil.taps).permute(2, 1, 0)
        taps = (taps if self.scale is None else taps * self.scale(static)).contiguous()
        return taps if self.looks_up else pack_weight(taps, self.groups)

    def taken(self, static: Static) -> Tensor:
        """The weight as [out, in, taps] or [out, in]."""
        weight = static(self.weight)
        return weight.t() if self.turned else weight

    def round(self, packed: Tensor, precision: str) -> Tensor:
        if self.looks_up:
            return packed
        return to_bf16(packed) if precision == "bf16" else to_tf32(packed)

    @property
    def chained(self) -> bool:
        return True

    def link(self, place: Place) -> Link:
        s = self.stencil
        original = place.kept(self.reads[0]) if self.reads else None
        if self.looks_up:
            return place.link(
                "edit_lookup", weight=place.table(), original=original, taps=s.taps,
                stride=s.stride, dilation=s.dilation, pad=s.pad,
            )  # fmt: skip
        return place.link(
            "delta_conv", given=place.value(0), weight=place.packed, original=original,
            beside=place.value(1) if len(self.inputs) > 1 else -1, stride=s.stride,
            dilation=s.dilation, pad=s.pad, residual_first=self.residual_first, tf32=place.chain.tf32,
        )  # fmt: skip

    def work(self, rows_in: int, rows_out: int) -> int:
        if self.looks_up:
            return rows_out * self.axes.channels  # subtractions
        live = rows_in * self.stencil.taps // self.stencil.stride
        if rows_out == 1 and self.axes.length == 1:
            live = rows_in
        width = max(self.stencil.taps, 1)
        return min(live, rows_out * width) * self.channels_in // self.groups * self.axes.channels


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
            kernel, pad, stride = (per_axis[k][axis] for k in ("kernel", "pad", "stride"))
            thins = not collapse and across > 1 and stride != 1
            if kernel != (across if collapse else 1) or pad != 0 or thins:
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
    sizes = {"kernel": kernel, "stride": stride, "pad": padding, "dilation": dilation}
    shape = sample_shape(node)
    if axes.dim is None and _mixes_channels_alone(axes, kernel, stride, padding):
        g, out = Geometry(1, 1, 0, 1), replace(axes, shape=shape, left=shape[0])
    else:
        g, out = one_axis(axes, spatial, **sizes), axes_of_conv(shape, axes)
    groups = int(argument(node, 6, "groups", 1))
    if groups > 1 and axes.channels != axes.shape[0]:
        raise NotLocal("a grouped convolution over a second spatial axis")
    stencil = Stencil(g.kernel, g.stride, g.dilation, g.pad)
    first = low.is_edited(name)
    return Conv((name,), out, (), axes.channels, stencil, weight.name, groups, first=first)


def _mixes_channels_alone(axes: Axes, kernel: Any, stride: Any, padding: Any) -> bool:
    """Whether it is a linear layer at each position, so that the length may be split into axes."""
    moves = any(k != 1 for k in (*kernel, *stride)) or any(padding)
    return not moves and axes.length > 1 and (axes.left, axes.right) == (axes.shape[0], 1)


def axes_of_conv(shape: tuple[int, ...], axes: Axes) -> Axes:
    """Axes of a convolution's or pool's output: channels before, the length in the same place."""
    dim = axes.dim
    assert dim is not None
    left = int(np.prod(shape[:dim]))
    return Axes(shape, left, shape[dim], int(np.prod(shape[dim + 1 :])))


@rule(aten.linear.default)
def lower_linear(low: Lowering, node: torch.fx.Node) -> Conv | Linear:
    return linear(low, node, value(node, 0), value(node, 1))


def linear(
    low: Lowering, node: torch.fx.Node, source: Any, weight: Any, *, turned: bool = False
) -> Conv | Linear:
    """The linear layer `node` over the last axis of `source`; the weight may be turned, [in, out]."""
    name, axes = low.ripple(source), low.axes(source)
    if not low.is_static(weight):
        raise NotLocal("its weights depend on the input")
    wide = int(weight.meta["val"].shape[0 if turned else 1])
    shape = sample_shape(node)
    first = low.is_edited(name)
    if axes.shape == (wide,) and axes.length > 1:  # flattened: every position has its own columns
        order = (axes.left, axes.length, axes.right)
        stencil = Stencil(taps=axes.length)
        out = vector(shape)
        return Conv(
            (name,), out, (), axes.channels, stencil, weight.name, order=order, first=first,
            turned=turned,
        )  # fmt: skip
    if axes.length > 1 and (axes.dim == len(axes.shape) - 1 or axes.right % wide):
        raise NotLocal("it mixes positions along the length")
    many = axes.right // wide * shape[-1]
    out = vector(shape) if axes.length == 1 else Axes(shape, axes.left, axes.length, many)
    if wide == axes.channels:  # a convolution of one tap
        return Conv((name,), out, (), wide, SAME, weight.name, first=first, turned=turned)
    return Linear((name,), out, (), weight.name, wide, turned)


@dataclass(frozen=True)
class Linear(Rule):
    """A linear over the last of several channel axes."""

    weight: str
    wide: int
    turned: bool = False  # whether the weight is a matrix [in, out]

    def pack(self, static: Static) -> Tensor:
        weight = static(self.weight)
        return weight.contiguous() if self.turned else weight.t().contiguous()

    def delta(self, step: Step) -> Tensor:
        given = step.seen(0)
        assert given is not None
        made: Tensor = given.reshape(-1, self.wide) @ step.packed
        return made.view(*given.shape[:3], self.axes.channels)

    def work(self, rows_in: int, rows_out: int) -> int:
        return rows_out * self.wide * self.axes.channels
