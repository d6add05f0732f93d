"""Elementwise functions: `delta_pointwise` takes their deltas."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from nucleoscope.engine.chain import Place
from nucleoscope.engine.graph import Rule
from nucleoscope.engine.rules.registry import Lowering, argument, aten, rule
from nucleoscope.ops import Link


@dataclass(frozen=True)
class Pointwise(Rule):
    """An elementwise function of one edited value."""

    function: str
    parameters: tuple[float, ...] = ()

    @property
    def chained(self) -> bool:
        return True

    def link(self, place: Place) -> Link:
        return place.link(
            "delta_pointwise", given=place.aligned(0), original=place.kept(self.reads[0]),
            function=self.function, parameters=self.parameters,
        )  # fmt: skip


def function_of(low: Lowering, node: torch.fx.Node, function: str, *parameters: float) -> Pointwise:
    """An elementwise function of a node's first argument."""
    source: Any = node.args[0]
    numbers = tuple(float(each) for each in parameters)
    return Pointwise((low.ripple(source),), low.axes(source), (source.name,), function, numbers)


PLAIN: dict[Any, str] = {
    aten.relu.default: "relu",
    aten.sigmoid.default: "sigmoid",
    aten.tanh.default: "tanh",
    aten.silu.default: "silu",
    aten.exp.default: "exp",
    aten.log1p.default: "log1p",
    aten.sqrt.default: "sqrt",
    aten.reciprocal.default: "reciprocal",
    aten.square.default: "square",
    aten.abs.default: "abs",
}


@rule(*PLAIN)
def lower_plain(low: Lowering, node: torch.fx.Node) -> Pointwise:
    return function_of(low, node, PLAIN[node.target])


@rule(aten.relu6.default)
def lower_relu6(low: Lowering, node: torch.fx.Node) -> Pointwise:
    return function_of(low, node, "clamp", 0.0, 6.0)


@rule(aten.gelu.default)
def lower_gelu(low: Lowering, node: torch.fx.Node) -> Pointwise:
    form = argument(node, 1, "approximate", "none")
    return function_of(low, node, "gelu_tanh" if form == "tanh" else "gelu")


@rule(aten.leaky_relu.default)
def lower_leaky_relu(low: Lowering, node: torch.fx.Node) -> Pointwise:
    return function_of(low, node, "leaky_relu", argument(node, 1, "negative_slope", 0.01))


@rule(aten.elu.default)
def lower_elu(low: Lowering, node: torch.fx.Node) -> Pointwise:
    scales = (argument(node, i, n, 1) for i, n in enumerate(("alpha", "scale", "input_scale"), 1))
    return function_of(low, node, "elu", *scales)


@rule(aten.softplus.default)
def lower_softplus(low: Lowering, node: torch.fx.Node) -> Pointwise:
    beta, limit = argument(node, 1, "beta", 1), argument(node, 2, "threshold", 20)
    return function_of(low, node, "softplus", beta, limit)


@rule(aten.threshold.default)
def lower_threshold(low: Lowering, node: torch.fx.Node) -> Pointwise:
    limit, value = argument(node, 1, "threshold", 0), argument(node, 2, "value", 0)
    return function_of(low, node, "threshold", limit, value)


@rule(aten.clamp.default, aten.hardtanh.default, aten.clamp_min.default, aten.clamp_max.default)
def lower_clamp(low: Lowering, node: torch.fx.Node) -> Pointwise:
    defaults = (-1.0, 1.0) if node.target is aten.hardtanh.default else (None, None)
    names = ("min_val", "max_val") if node.target is aten.hardtanh.default else ("min", "max")
    bounds = [
        argument(node, i, n, d) for i, (n, d) in enumerate(zip(names, defaults, strict=True), 1)
    ]
    if node.target is aten.clamp_max.default:
        bounds = [None, node.args[1]]
    least = -math.inf if bounds[0] is None else float(bounds[0])
    most = math.inf if bounds[1] is None else float(bounds[1])
    return function_of(low, node, "clamp", least, most)
