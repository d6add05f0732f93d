"""Elementwise functions g: the delta is g(z + d) - g(z), in a form that does not cancel."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nucleoscope.engine.chain import Place
from nucleoscope.engine.graph import NotLocal, Rule
from nucleoscope.engine.rules.registry import Lowering, argument, aten, rule
from nucleoscope.engine.step import Step
from nucleoscope.ops import Link

Change = Callable[[Tensor, Tensor], Tensor]  # (z, d) -> g(z + d) - g(z); may overwrite d


@dataclass(frozen=True)
class Pointwise(Rule):
    """An elementwise function of one edited value."""

    change: Change

    def delta(self, step: Step) -> Tensor:
        return self.change(step.original(self.reads[0]), step.aligned(0))


@dataclass(frozen=True)
class Relu(Rule):
    """max(d + min(z, 0), -max(z, 0))."""

    @property
    def chained(self) -> bool:
        return True

    def link(self, place: Place) -> Link:
        return place.link("delta_relu", given=place.aligned(0), original=place.kept(self.reads[0]))


def clamp(low: float, high: float) -> Change:
    """ReLU, ReLU6, hardtanh, clamp: max(d + min(z, 0), -max(z, 0)) for ReLU, and alike."""

    def change(z: Tensor, d: Tensor) -> Tensor:
        held = z.clamp(low, high)
        d.add_(z - held)
        if low > -math.inf:
            torch.maximum(d, low - held, out=d)
        if high < math.inf:
            torch.minimum(d, high - held, out=d)
        return d

    return change


relu = clamp(0.0, math.inf)


def leaky_relu(slope: float) -> Change:
    def change(z: Tensor, d: Tensor) -> Tensor:
        return d.mul(slope).add_(relu(z, d), alpha=1.0 - slope)

    return change


def elu(alpha: float, scale: float, input_scale: float) -> Change:
    """elu(x) = scale * (max(x, 0) + alpha * expm1(input_scale * min(x, 0)))."""

    def change(z: Tensor, d: Tensor) -> Tensor:
        positive = relu(z, d.clone())
        negative = d.sub_(positive)  # the change of min(x, 0)
        decay = exp(z.clamp(max=0.0) * input_scale, negative * input_scale)
        return positive.add_(decay, alpha=alpha).mul_(scale)

    return change


def sigmoid(z: Tensor, d: Tensor) -> Tensor:
    """With h, l the larger and smaller of z, z + d: s(h) - s(l) = -s(h) s(-l) expm1(-|d|)."""
    edited = z + d
    high, low = torch.maximum(z, edited), torch.minimum(z, edited)
    size = torch.sigmoid(high) * torch.sigmoid(-low) * torch.expm1(-d.abs())
    return size.mul_(d.sign()).neg_()


def tanh(z: Tensor, d: Tensor) -> Tensor:
    """tanh(x) = 2 s(2x) - 1."""
    return sigmoid(z * 2.0, d * 2.0).mul_(2.0)


def silu(z: Tensor, d: Tensor) -> Tensor:
    """x s(x), by the product rule."""
    return torch.sigmoid(z + d).mul_(d).add_(sigmoid(z, d) * z)


def _softplus(x: Tensor) -> Tensor:
    return x.clamp(min=0.0) + torch.log1p(torch.exp(-x.abs()))


def softplus(beta: float, threshold: float) -> Change:
    """log1p(s(z) expm1(d)), and for a large d the same with e^d drawn out.

    Beyond `threshold` PyTorch returns x itself: what that leaves out, log1p(e^-x), is left out too.
    """

    def rest(x: Tensor) -> Tensor:
        return torch.where(x > threshold, torch.log1p(torch.exp(-x.clamp(min=threshold))), 0.0)

    def change(z: Tensor, d: Tensor) -> Tensor:
        z, d = z * beta, d * beta
        edited = z + d
        low, rise = torch.minimum(z, edited), d.abs()
        near = torch.log1p(torch.sigmoid(low) * torch.expm1(rise.clamp(max=1.0)))
        above = rise + torch.log1p(torch.sigmoid(-low) * torch.expm1(-rise))
        far = torch.where(low > 0.0, above, _softplus(low + rise) - _softplus(low))
        smooth = torch.where(rise > 1.0, far, near).mul_(d.sign()).add_(rest(z) - rest(edited))
        return torch.where((z > threshold) & (edited > threshold), d, smooth).div_(beta)

    return change


# Gauss-Legendre on [0, 1] with five nodes: exact to rounding for the integral of a bell over a width of
# 0.5 in float32 and of 0.1 in float64; beyond these widths the plain difference is.
_NODES = tuple(
    0.5 + 0.5 * x
    for x in (-0.906179845938664, -0.538469310105683, 0.0, 0.538469310105683, 0.906179845938664)
)
_WEIGHTS = tuple(
    0.5 * w
    for w in (
        0.236926885056189, 0.478628670499366, 0.568888888888889, 0.478628670499366, 0.236926885056189
    )
)  # fmt: skip
_WIDE = {torch.float32: 0.5, torch.float64: 0.1}


def normal_cdf(z: Tensor, d: Tensor) -> Tensor:
    """Phi(z + d) - Phi(z): the integral of the bell for a small d, the difference for a large one."""
    small = torch.zeros_like(d)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        small.add_(torch.exp((z + d * node).square_().mul_(-0.5)), alpha=weight)
    small.mul_(d).div_(math.sqrt(2.0 * math.pi))
    side = torch.where(z > 0.0, 1.0, -1.0).to(z) * math.sqrt(0.5)  # both from the tail z is in
    large = torch.erfc((z + d) * side).sub_(torch.erfc(z * side)).mul_(-math.sqrt(0.5) * side)
    return torch.where(d.abs() < _WIDE[d.dtype], small, large)


def gelu(z: Tensor, d: Tensor) -> Tensor:
    """x Phi(x), by the product rule."""
    edited = z + d
    return torch.erfc(edited * -math.sqrt(0.5)).mul_(0.5).mul_(d).add_(normal_cdf(z, d) * z)


def gelu_tanh(z: Tensor, d: Tensor) -> Tensor:
    """x s(2 y(x)) with y = sqrt(2/pi) (x + 0.044715 x^3): the change of y by its divided difference."""
    c, k = 2.0 * math.sqrt(2.0 / math.pi), 0.044715
    edited = z + d
    y = c * (z + k * z**3)
    slope = (edited * edited + edited * z + z * z).mul_(k).add_(1.0)
    change = sigmoid(y, slope.mul_(d).mul_(c))
    gate = torch.sigmoid(c * (edited + k * edited**3))
    small = gate.mul_(d).add_(change * z)

    def tail(x: Tensor) -> Tensor:  # gelu(x) - max(x, 0)
        size = x.abs()
        return -size * torch.sigmoid(-c * (size + k * size**3))

    large = relu(z, d.clone()).add_(tail(edited) - tail(z))  # y of a large |z| has no digits left
    return torch.where(d.abs() < 1.0, small, large)


def threshold(limit: float, value: float) -> Change:
    """x if x > limit else value: Torch7's Threshold."""

    def change(z: Tensor, d: Tensor) -> Tensor:
        edited = z + d
        was, now = z > limit, edited > limit
        same = torch.where(was & now, d, torch.zeros_like(d))
        crossed = torch.where(now, edited - value, value - z)
        return torch.where(was ^ now, crossed, same)

    return change


def exp(z: Tensor, d: Tensor) -> Tensor:
    """-sign(d) e^h expm1(-|d|), h the larger of z and z + d: nothing overflows on the way."""
    high = torch.exp(torch.maximum(z, z + d))
    return torch.expm1(-d.abs()).mul_(high).mul_(d.sign()).neg_()


def log(z: Tensor, d: Tensor) -> Tensor:
    return torch.log1p(d.div_(z))


def log1p(z: Tensor, d: Tensor) -> Tensor:
    return torch.log1p(d.div_(1.0 + z))


def sqrt(z: Tensor, d: Tensor) -> Tensor:
    return torch.where(d == 0.0, d, d / (torch.sqrt(z + d) + torch.sqrt(z)))  # not 0 / 0 at 0


def reciprocal(z: Tensor, d: Tensor) -> Tensor:
    return -d / ((z + d) * z)


def square(z: Tensor, d: Tensor) -> Tensor:
    return (2.0 * z + d).mul_(d)


def absolute(z: Tensor, d: Tensor) -> Tensor:
    return relu(z, d.clone()) + relu(-z, -d)


def _plain(change: Change) -> Callable[[Lowering, torch.fx.Node], Pointwise]:
    def lower(low: Lowering, node: torch.fx.Node) -> Pointwise:
        return _pointwise(low, node, change)

    return lower


def _pointwise(low: Lowering, node: torch.fx.Node, change: Change) -> Pointwise:
    source: Any = node.args[0]
    return Pointwise((low.ripple(source),), low.axes(source), (source.name,), change)


for _target, _change in {
    aten.relu6.default: clamp(0.0, 6.0),
    aten.sigmoid.default: sigmoid,
    aten.tanh.default: tanh,
    aten.silu.default: silu,
    aten.exp.default: exp,
    aten.log.default: log,
    aten.log1p.default: log1p,
    aten.sqrt.default: sqrt,
    aten.reciprocal.default: reciprocal,
    aten.square.default: square,
    aten.abs.default: absolute,
}.items():
    rule(_target)(_plain(_change))


@rule(aten.relu.default)
def lower_relu(low: Lowering, node: torch.fx.Node) -> Relu:
    source: Any = node.args[0]
    return Relu((low.ripple(source),), low.axes(source), (source.name,))


@rule(aten.gelu.default)
def lower_gelu(low: Lowering, node: torch.fx.Node) -> Pointwise:
    form = argument(node, 1, "approximate", "none")
    return _pointwise(low, node, gelu_tanh if form == "tanh" else gelu)


@rule(aten.leaky_relu.default)
def lower_leaky_relu(low: Lowering, node: torch.fx.Node) -> Pointwise:
    return _pointwise(low, node, leaky_relu(argument(node, 1, "negative_slope", 0.01)))


@rule(aten.elu.default)
def lower_elu(low: Lowering, node: torch.fx.Node) -> Pointwise:
    scales = (argument(node, i, n, 1) for i, n in enumerate(("alpha", "scale", "input_scale"), 1))
    return _pointwise(low, node, elu(*scales))


@rule(aten.softplus.default)
def lower_softplus(low: Lowering, node: torch.fx.Node) -> Pointwise:
    beta, limit = argument(node, 1, "beta", 1), argument(node, 2, "threshold", 20)
    return _pointwise(low, node, softplus(beta, limit))


@rule(aten.threshold.default)
def lower_threshold(low: Lowering, node: torch.fx.Node) -> Pointwise:
    return _pointwise(low, node, threshold(float(node.args[1]), float(node.args[2])))  # type: ignore[arg-type]


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
    return _pointwise(low, node, clamp(least, most))


@rule(aten.pow.Tensor_Scalar)
def lower_power(low: Lowering, node: torch.fx.Node) -> Pointwise:
    changes = {2: square, 1: lambda _, d: d, 0.5: sqrt, -1: reciprocal}
    power: Any = node.args[1]
    if power not in changes:
        raise NotLocal(f"power {power} has no delta rule yet")
    return _pointwise(low, node, changes[power])
