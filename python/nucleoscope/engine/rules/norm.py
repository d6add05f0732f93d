"""Functions of all channels of one position: LayerNorm, softmax, log-softmax."""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from nucleoscope.engine.chain import Place
from nucleoscope.engine.graph import NotLocal, Rule, Static
from nucleoscope.engine.rules.pointwise import Pointwise, function_of
from nucleoscope.engine.rules.registry import Lowering, argument, aten, rule
from nucleoscope.engine.rules.softmax_pool import CellWeights, cell_weights
from nucleoscope.engine.rules.steep import SOFTMAX
from nucleoscope.engine.step import Step
from nucleoscope.ops import Link, change_of

# A value of so many standard deviations has lost 1e-5 of one to rounding. Such edits are made in float64.
LIMIT = {torch.float32: 128.0, torch.float64: math.inf}


@dataclass(frozen=True)
class LayerNorm(Rule):
    """LayerNorm over the last `wide` channels, through the changes of mean, variance and 1/std.

    NaN where an edit lets the variance collapse, and float32 holds no digits of what is left.
    """

    wide: int
    weight: str | None
    eps: float

    def pack(self, static: Static) -> Tensor | None:
        return None if self.weight is None else static(self.weight).reshape(-1)

    @property
    def chained(self) -> bool:
        return True

    def link(self, place: Place) -> Link:
        original = place.kept(self.reads[0])
        return place.link(
            "delta_layer_norm", given=place.aligned(0), original=original, weight=place.packed,
            wide=self.wide, eps=self.eps, limit=LIMIT[original.values.dtype],
        )  # fmt: skip


@dataclass(frozen=True)
class Softmax(Rule):
    """With l the change of the log-normaliser: d - l for log-softmax, p expm1(d - l) for softmax."""

    split: tuple[int, int, int]  # channels as (before, softmaxed, after)
    log: bool

    def delta(self, step: Step) -> Tensor:
        d = step.seen(0)
        assert d is not None
        z, d = (t.reshape(*t.shape[:3], *self.split) for t in (step.original(self.reads[0]), d))
        was = torch.log_softmax(z, -2)
        near = torch.log1p((was.exp() * torch.expm1(d.clamp(-1.0, 1.0))).sum(-2, keepdim=True))
        far = torch.logsumexp(was + d, -2, keepdim=True)
        small = d.abs().amax(-2, keepdim=True) < 1.0
        out = d - torch.where(small, near, far)
        return (out if self.log else change_of("exp", was, out)).flatten(3)


@rule(aten.layer_norm.default)
def lower_layer_norm(low: Lowering, node: torch.fx.Node) -> LayerNorm:
    source: Any = node.args[0]
    axes, wide = low.axes(source), prod(node.args[1])  # type: ignore[arg-type]
    if axes.length > 1 and (axes.dim is None or axes.right % wide):
        raise NotLocal("it normalises over the length")
    if axes.length == 1 and axes.shape[-len(node.args[1]) :] != tuple(node.args[1]):  # type: ignore[arg-type]
        raise NotLocal("it normalises over an axis the engine does not follow")
    weight: Any = argument(node, 2, "weight", None)
    eps = float(argument(node, 4, "eps", 1e-5))
    name = None if weight is None else weight.name
    return LayerNorm((low.ripple(source),), axes, (source.name,), wide, name, eps)


LOG_SOFTMAX = (aten.log_softmax.int, aten._log_softmax.default)


@rule(*SOFTMAX, *LOG_SOFTMAX)
def lower_softmax(low: Lowering, node: torch.fx.Node) -> Softmax | CellWeights:
    return _softmax(low, node, log=node.target in LOG_SOFTMAX)


@rule(aten.log.default)
def lower_log(low: Lowering, node: torch.fx.Node) -> Pointwise | Softmax | CellWeights:
    """Of a softmax it is the log-softmax of what that reads, and local like that."""
    source: Any = node.args[0]
    if source.target in SOFTMAX and low.is_ripple(source):
        return _softmax(low, source, log=True)
    return function_of(low, node, "log")


def _softmax(low: Lowering, node: torch.fx.Node, *, log: bool) -> Softmax | CellWeights:
    source: Any = node.args[0]
    axes = low.axes(source)
    dim = int(node.args[1])  # type: ignore[arg-type]
    dim = dim - 1 if dim > 0 else dim + len(axes.shape)
    if not log and axes.length > 1 and axes.dim is None:
        return cell_weights(low, node, dim)
    if axes.length > 1 and (axes.dim is None or dim == axes.dim):
        raise NotLocal("a softmax over the length")
    sizes = list(axes.shape)
    if axes.length > 1:
        sizes[axes.dim] = 1  # type: ignore[index]
    split = (prod(sizes[:dim]), sizes[dim], prod(sizes[dim + 1 :]))
    return Softmax((low.ripple(source),), axes, (source.name,), split, log)
