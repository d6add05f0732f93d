"""Elementwise functions: `delta_pointwise` takes their deltas."""

from __future__ import annotations

import math
from collections.abc import Callable
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


Named = tuple[str, tuple[float, ...]]  # a function of `delta_pointwise`, and its parameters
NAMED: dict[Any, Callable[[torch.fx.Node], Named]] = {}

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


def named(*targets: Any) -> Callable[[Callable[..., Named]], Callable[..., Named]]:
    """Enter a way to read which function these ops are."""

    def enter(read: Callable[..., Named]) -> Callable[..., Named]:
        NAMED.update(dict.fromkeys(targets, read))
        return read

    return enter


@named(*PLAIN)
def plain(node: torch.fx.Node) -> Named:
    return PLAIN[node.target], ()


@named(aten.relu6.default)
def relu6(_node: torch.fx.Node) -> Named:
    return "clamp", (0.0, 6.0)


@named(aten.gelu.default)
def gelu(node: torch.fx.Node) -> Named:
    return "gelu_tanh" if argument(node, 1, "approximate", "none") == "tanh" else "gelu", ()


@named(aten.leaky_relu.default)
def leaky_relu(node: torch.fx.Node) -> Named:
    return "leaky_relu", (argument(node, 1, "negative_slope", 0.01),)


@named(aten.elu.default)
def elu(node: torch.fx.Node) -> Named:
    names = ("alpha", "scale", "input_scale")
    return "elu", tuple(argument(node, i, n, 1) for i, n in enumerate(names, 1))


@named(aten.softplus.default)
def softplus(node: torch.fx.Node) -> Named:
    return "softplus", (argument(node, 1, "beta", 1), argument(node, 2, "threshold", 20))


@named(aten.threshold.default)
def threshold(node: torch.fx.Node) -> Named:
    return "threshold", (argument(node, 1, "threshold", 0), argument(node, 2, "value", 0))


@named(aten.clamp.default, aten.hardtanh.default, aten.clamp_min.default, aten.clamp_max.default)
def clamp(node: torch.fx.Node) -> Named:
    defaults = (-1.0, 1.0) if node.target is aten.hardtanh.default else (None, None)
    names = ("min_val", "max_val") if node.target is aten.hardtanh.default else ("min", "max")
    bounds = [
        argument(node, i, n, d) for i, (n, d) in enumerate(zip(names, defaults, strict=True), 1)
    ]
    if node.target is aten.clamp_max.default:
        bounds = [None, node.args[1]]
    least = -math.inf if bounds[0] is None else float(bounds[0])
    return "clamp", (least, math.inf if bounds[1] is None else float(bounds[1]))


@rule(*NAMED)
def lower_named(low: Lowering, node: torch.fx.Node) -> Pointwise:
    function, parameters = NAMED[node.target](node)
    return function_of(low, node, function, *parameters)
