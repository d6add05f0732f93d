"""Sums, differences, products, quotients; eval BatchNorm, which is a product with a constant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nucleoscope.engine.chain import Place
from nucleoscope.engine.graph import Axes, NotLocal, Rule, Static, Thin
from nucleoscope.engine.rules.registry import Lowering, argument, aten, rule, sample_shape, value
from nucleoscope.engine.step import Alias, Step
from nucleoscope.engine.transfer import sent
from nucleoscope.engine.windows import WHOLE, Lattice
from nucleoscope.ops import Link


@dataclass(frozen=True)
class Sum(Rule):
    """a d_1 + b d_2."""

    factors: tuple[float, float]

    @property
    def chained(self) -> bool:
        return True

    def link(self, place: Place) -> Link:
        terms = [(place.value(i), self.factors[i]) for i in (0, 1) if place.value(i) >= 0]
        (given, a), (beside, b) = [*terms, (-1, 0.0)][:2]
        return place.link("delta_sum", given=given, beside=beside, factors=(a, b))


@dataclass(frozen=True)
class Scale(Rule):
    """d times a constant: a number, or a tensor that no edit reaches."""

    factor: Callable[[Static], Tensor]  # [1 or length, 1 or channels] rows
    per_position: bool = False
    made: Lattice = WHOLE

    def thin(self, made: Lattice, given: Sequence[Thin]) -> Rule:
        return replace(self, axes=self.axes.on(made), made=made)

    @property
    def chained(self) -> bool:
        return not self.per_position

    def pack(self, static: Static) -> Tensor:
        factor = self.factor(static)
        return factor if self.per_position else factor[0].expand(self.axes.channels).contiguous()

    def link(self, place: Place) -> Link:
        return place.link("delta_sum", given=place.value(0), weight=place.packed)

    def delta(self, step: Step) -> Tensor:
        factors = step.packed[self.made.cut]
        position = np.clip(step.rows.positions, 0, len(factors) - 1)
        factor = factors[sent(position, factors.device)][:, :, None]
        return step.aligned(0).mul_(factor)


@dataclass(frozen=True)
class Product(Rule):
    """a d_b + (b + d_b) d_a; one of the two may be a value that no edit reaches."""

    @property
    def chained(self) -> bool:
        return True

    def link(self, place: Place) -> Link:
        a, b = map(place.kept, self.reads)
        beside = place.value(1) if len(self.inputs) > 1 else -1
        return place.link(
            "delta_product", given=place.value(0), beside=beside, original=a, second=b
        )


@dataclass(frozen=True)
class Quotient(Rule):
    """(d_a - (a / b) d_b) / (b + d_b)."""

    def delta(self, step: Step) -> Tensor:
        a, b = (step.original(name) for name in self.reads)
        of_a, of_b = step.seen(0), step.seen(1)
        if of_b is None:
            assert of_a is not None
            return of_a / b
        change = -(a / b) * of_b if of_a is None else of_a - (a / b) * of_b
        return change.div_(b + of_b)


def constant(arg: Any, axes: Axes) -> Callable[[Static], Tensor]:
    """A number or static tensor as rows that broadcast against a delta."""
    varies = per_position(arg, axes)

    def rows(static: Static) -> Tensor:
        if isinstance(arg, int | float):
            return static("").new_full((1, 1), float(arg))
        full = axes.rows(static(arg.name).expand(1, *axes.shape))[0]
        return full if varies else full[:1]

    return rows


def per_position(arg: Any, axes: Axes) -> bool:
    """Whether a constant differs along the length."""
    if isinstance(arg, int | float) or axes.length == 1:
        return False
    shape = tuple(arg.meta["val"].shape)
    if axes.dim is None:
        return any(size != 1 for size in shape)
    back = len(axes.shape) - axes.dim
    return len(shape) >= back and int(shape[-back]) != 1


def scaled(low: Lowering, source: Any, arg: Any, axes: Axes, invert: bool = False) -> Scale:
    """source times (or over) a constant."""
    rows = constant(arg, axes)
    factor = (lambda static: rows(static).reciprocal()) if invert else rows
    return Scale((low.ripple(source),), axes, (), factor, per_position(arg, axes))


def operands(low: Lowering, node: torch.fx.Node) -> tuple[Any, Any, Axes]:
    """Both arguments and the output's axes, refused where an edited value is broadcast."""
    a, b = node.args[0], node.args[1]
    shape = sample_shape(node)
    edited = [arg for arg in (a, b) if isinstance(arg, torch.fx.Node) and low.is_ripple(arg)]
    axes = low.axes(edited[0])
    for arg in edited:
        theirs = low.axes(arg)
        if theirs.shape != shape:
            raise NotLocal("an edited value is broadcast over another's axes")
        if (theirs.left, theirs.length, theirs.right) != (axes.left, axes.length, axes.right):
            raise NotLocal("its two edited values have their lengths on different axes")
    return a, b, axes


@rule(aten.add.Tensor, aten.sub.Tensor, aten.add.Scalar, aten.sub.Scalar)
def lower_sum(low: Lowering, node: torch.fx.Node) -> Sum | Scale | Alias:
    a, b, axes = operands(low, node)
    alpha = float(argument(node, 2, "alpha", 1))
    sign = -alpha if node.target in (aten.sub.Tensor, aten.sub.Scalar) else alpha
    if low.is_ripple(a) and low.is_ripple(b):
        return Sum((low.ripple(a), low.ripple(b)), axes, (), (1.0, sign))
    if low.is_ripple(a):
        return Alias(low.ripple(a), axes)
    return scaled(low, b, sign, axes) if sign != 1.0 else Alias(low.ripple(b), axes)


@rule(aten.rsub.Scalar, aten.rsub.Tensor, aten.neg.default)
def lower_negative(low: Lowering, node: torch.fx.Node) -> Scale:
    source: Any = node.args[0]
    if not low.is_ripple(source) or (len(node.args) > 1 and low.is_ripple(node.args[1])):
        raise NotLocal("a reversed subtraction that involves an edited value twice or second")
    alpha = float(argument(node, 2, "alpha", 1))
    axes = low.axes(source)
    if sample_shape(node) != axes.shape:
        raise NotLocal("an edited value is broadcast over another's axes")
    return scaled(low, source, -alpha, axes)


@rule(aten.mul.Tensor, aten.mul.Scalar)
def lower_product(low: Lowering, node: torch.fx.Node) -> Product | Scale:
    a, b, axes = operands(low, node)
    if not low.is_ripple(a):
        a, b = b, a
    if low.is_static(b):
        return scaled(low, a, b, axes)
    if low.is_ripple(b):
        return Product((low.ripple(a), low.ripple(b)), axes, (a.name, b.name))
    return Product((low.ripple(a),), axes, (a.name, _steady(b, axes)))


def _steady(arg: Any, axes: Axes) -> str:
    """The name of an unedited per-sample value, refused where it would have to be broadcast."""
    if sample_shape(arg) != axes.shape:
        raise NotLocal("a further input is broadcast over the sequence here")
    return str(arg.name)


@rule(aten.div.Tensor, aten.div.Scalar)
def lower_quotient(low: Lowering, node: torch.fx.Node) -> Quotient | Scale:
    a, b, axes = operands(low, node)
    if low.is_static(b):
        return scaled(low, a, b, axes, invert=True)
    if low.is_ripple(a) and low.is_ripple(b):
        return Quotient((low.ripple(a), low.ripple(b)), axes, (a.name, b.name))
    raise NotLocal("a division by a value of this kind")


@rule(aten._native_batch_norm_legit_no_training.default)
def lower_batch_norm(low: Lowering, node: torch.fx.Node) -> Scale:
    source: Any = node.args[0]
    axes = low.axes(source)
    gamma, variance, eps = node.args[1], value(node, 4), float(argument(node, 6, "eps", 1e-5))
    merged = axes.length > 1 and axes.dim is None  # over a flattened length: a factor a position
    if axes.length > 1 and axes.dim == 0:
        raise NotLocal("it normalises each position along the length")
    many = axes.shape[0]

    def factor(static: Static) -> Tensor:
        scale = torch.rsqrt(static(variance.name) + eps)
        if isinstance(gamma, torch.fx.Node):
            scale = scale * static(gamma.name)
        if merged:
            return axes.rows(scale.view(many, *[1] * (len(axes.shape) - 1)).expand(1, *axes.shape))[
                0
            ]
        return scale[:, None].expand(many, axes.channels // many).reshape(1, -1)

    return Scale((low.ripple(source),), axes, (), factor, merged)
