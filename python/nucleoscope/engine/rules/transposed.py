"""Transposed convolution: linear in the delta, each row of it multiplied once a tap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nucleoscope.engine.graph import NotLocal, Rule, Static
from nucleoscope.engine.rows import zero_outside
from nucleoscope.engine.rules.conv import Conv, axes_of_conv
from nucleoscope.engine.rules.registry import Lowering, argument, aten, rule, sample_shape, value
from nucleoscope.engine.step import Step
from nucleoscope.engine.transfer import sent
from nucleoscope.engine.windows import Sampling, Stencil


@dataclass(frozen=True)
class Mirrored(Conv):
    """A transposed convolution of stride 1: a convolution with its kernel from end to end."""

    def taken(self, static: Static) -> Tensor:
        weight = static(self.weight).flip(2)  # [in, out a group, taps]
        groups = weight.unflatten(0, (self.groups, -1)).transpose(1, 2)
        made: Tensor = groups.flatten(0, 1).contiguous()
        return made


@dataclass(frozen=True)
class Transposed(Rule):
    """Input position i goes to the outputs ``i * stride - pad + t * dilation`` of each tap t."""

    stencil: Stencil  # how the convolution that this is the transpose of looks at our output
    weight: str
    groups: int
    channels_in: int

    def reach(self, index: int) -> Sampling:
        s = self.stencil
        wide = (s.taps - 1) * s.dilation
        return Sampling(s.stride, 1, s.pad - wide + s.stride - 1, wide // s.stride + 1)

    def pack(self, static: Static) -> Tensor:
        weight = static(self.weight)  # [in, out a group, taps]
        made: Tensor = weight.unflatten(0, (self.groups, -1)).permute(3, 0, 1, 2).contiguous()
        return made

    def delta(self, step: Step) -> Tensor:
        given, s = step.given(0), self.stencil
        out = step.zeros(self.axes.channels)
        flat = out.view(-1, *out.shape[2:])
        values = given.values.unflatten(3, (self.groups, -1))
        site = np.arange(step.rows.sites)
        for tap, weight in enumerate(step.packed):
            to = step.rows.find(given.rows.positions * s.stride - s.pad + tap * s.dilation)
            kept = to >= 0
            if not kept.any():
                continue
            used = kept.any(1)  # rows of which some site's is wanted
            part = values if used.all() else values[sent(np.flatnonzero(used), values.device)]
            made = torch.einsum("wsegi,gio->wsego", part, weight).flatten(3)
            index = sent((to * len(site) + site)[used][kept[used]], out.device)
            live = sent(np.flatnonzero(kept[used]), out.device)
            flat.index_add_(0, index, made.flatten(0, 1).index_select(0, live))
        return zero_outside(out, step.rows)

    def work(self, rows_in: int, rows_out: int) -> int:
        each = self.stencil.taps * self.channels_in * self.axes.channels // self.groups
        return rows_in * each


@rule(aten.conv_transpose1d.default)
def lower_transposed(low: Lowering, node: torch.fx.Node) -> Mirrored | Transposed:
    source, weight = value(node, 0), value(node, 1)
    name, axes = low.ripple(source), low.axes(source)
    if not low.is_static(weight):
        raise NotLocal("its weights depend on the input")
    if axes.dim is None or axes.right != 1 or len(axes.shape) != 2 or axes.dim != 1:
        raise NotLocal("the length is not the last axis longer than 1")

    def one(index: int, key: str, default: int) -> int:
        given: Any = argument(node, index, key, [default])
        return int(given[0] if isinstance(given, list | tuple) else given)

    stride, pad = one(3, "stride", 1), one(4, "padding", 0)
    groups, dilation = one(6, "groups", 1), one(7, "dilation", 1)
    taps = int(weight.meta["val"].shape[2])
    out = axes_of_conv(sample_shape(node), axes)
    if stride == 1:
        stencil = Stencil(taps, 1, dilation, (taps - 1) * dilation - pad)
        first = low.is_edited(name)
        return Mirrored((name,), out, (), axes.channels, stencil, weight.name, groups, first=first)
    stencil = Stencil(taps, stride, dilation, pad)
    return Transposed((name,), out, (), stencil, weight.name, groups, axes.channels)
