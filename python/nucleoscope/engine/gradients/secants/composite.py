"""Functions of one value that are written out, x * sigmoid(x): one function, before any rule sees its parts.

Taken part by part, a product of x with a function of x would count by half of each, and the sum would be exact
but not the slope of the function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nucleoscope.engine.gradients.secants.pointwise import plain_slope
from nucleoscope.engine.gradients.secants.registry import Call, Values, aten, derivative
from nucleoscope.engine.rules.formula import FORMS
from nucleoscope.engine.rules.pointwise import NAMED

STEPS = (
    aten.gt.Scalar, aten.ge.Scalar, aten.lt.Scalar, aten.le.Scalar, aten.gt.Tensor, aten.ge.Tensor,
    aten.lt.Tensor, aten.le.Tensor, aten.sign.default, aten.where.self, aten.where.ScalarOther,
    aten.where.ScalarSelf, aten.masked_fill.Scalar, aten.maximum.default, aten.minimum.default,
)  # fmt: skip
KINKED = {"relu", "clamp", "leaky_relu", "elu", "threshold", "abs"}
SMOOTH = (
    aten.add.Tensor, aten.add.Scalar, aten.sub.Tensor, aten.sub.Scalar, aten.rsub.Scalar, aten.neg.default,
    aten.mul.Tensor, aten.mul.Scalar, aten.div.Tensor, aten.div.Scalar, aten.log.default,
    aten.pow.Tensor_Scalar, aten.clone.default, *FORMS,
)  # fmt: skip
ADDS_UP = (aten.add.Tensor, aten.sub.Tensor)  # slopes of the parts add up as well

# Gauss-Legendre on [0, 1]: a smooth function's mean derivative between two points that are near.
NODES = (0.04691007703067, 0.23076534494716, 0.5, 0.76923465505284, 0.95308992296933)
WEIGHTS = (0.11846344252809, 0.23931433524968, 0.28444444444444, 0.23931433524968, 0.11846344252809)
NEAR = {torch.float32: 0.5, torch.float64: 0.05}


@dataclass(frozen=True)
class Composite:
    """An elementwise function of one node's value."""

    base: torch.fx.Node
    kinked: bool
    inner: tuple[torch.fx.Node, ...]  # its ops in order, the last one gives the value

    def __call__(self, call: Call, m: Tensor, x: Values, b: Values) -> Sequence[Tensor | None]:
        if self.kinked:
            return [plain_slope(call.run, m, x[0], b[0])]
        d = x[0] - b[0]
        near = d.abs() < NEAR[d.dtype]
        chord = (call.run(x[0]) - call.run(b[0])) / torch.where(near, 1.0, d)
        mean = torch.zeros_like(d)
        for node, weight in zip(NODES, WEIGHTS, strict=True):
            (tangent,) = derivative(call.run, (b[0] + d * node,), torch.ones_like(d))
            assert tangent is not None
            mean = mean + tangent * weight
        return [m * torch.where(near, mean, chord)]


def composites(nodes: Sequence[torch.fx.Node], reached: set[str]) -> dict[str, Composite]:
    """By node name, those that are elementwise functions of one earlier node by more than one way."""
    bases: dict[torch.fx.Node, torch.fx.Node] = {}
    found: dict[str, Composite] = {}
    for node in nodes:
        if node.name not in reached:
            continue
        given = [n for n in node.all_input_nodes if n.name in reached]
        under = {bases[n] for n in given}
        whole = node.target in NAMED or node.target in SMOOTH or node.target in STEPS
        if not (whole and len(under) == 1 and _shape(node) == _shape(next(iter(under)))):
            bases[node] = node
            continue
        base = bases[node] = under.pop()
        if len(given) > 1 and node.target not in ADDS_UP:
            inner = _between(node, base, reached)
            found[node.name] = Composite(base, any(map(_is_kinked, inner)), inner)
    return found


def _shape(node: torch.fx.Node) -> tuple[str, ...]:
    held: Any = node.meta.get("val")
    return tuple(map(str, held.shape)) if isinstance(held, Tensor) else ("no tensor", node.name)


def _is_kinked(node: torch.fx.Node) -> bool:
    named = NAMED[node.target](node)[0] if node.target in NAMED else ""
    return node.target in STEPS or named in KINKED


def _between(
    node: torch.fx.Node, base: torch.fx.Node, reached: set[str]
) -> tuple[torch.fx.Node, ...]:
    """The ops that lead from the base to a node, in order."""
    wanted, stack = {node}, [node]
    while stack:
        for each in stack.pop().all_input_nodes:
            if each is not base and each.name in reached and each not in wanted:
                wanted.add(each)
                stack.append(each)
    return tuple(n for n in node.graph.nodes if n in wanted)
