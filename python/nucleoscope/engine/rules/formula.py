"""Elementwise functions without a compiled op: their deltas in plain PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from nucleoscope.engine.graph import NotLocal, Rule
from nucleoscope.engine.rows import zero_outside
from nucleoscope.engine.rules.pointwise import Pointwise, function_of
from nucleoscope.engine.rules.registry import Lowering, aten, rule
from nucleoscope.engine.step import Alias, Step
from nucleoscope.ops import change_of, normal_cdf

Form = Callable[[Tensor, Tensor], Tensor]  # z, d -> g(z + d) - g(z), without subtracting the two


@dataclass(frozen=True)
class Formula(Rule):
    """An elementwise function of one edited value."""

    form: Form

    def delta(self, step: Step) -> Tensor:
        given = step.seen(0)
        assert given is not None
        return zero_outside(self.form(step.original(self.reads[0]), given), step.rows)


def scaled_log(z: Tensor, d: Tensor, *, base: float) -> Tensor:
    return change_of("log", z, d) / math.log(base)


def erf(z: Tensor, d: Tensor) -> Tensor:
    return normal_cdf(z * math.sqrt(2.0), d * math.sqrt(2.0)) * 2.0


def sine(z: Tensor, d: Tensor) -> Tensor:
    return torch.cos(z + d * 0.5) * torch.sin(d * 0.5) * 2.0


def cosine(z: Tensor, d: Tensor) -> Tensor:
    return torch.sin(z + d * 0.5) * torch.sin(d * 0.5) * -2.0


def arctangent(z: Tensor, d: Tensor) -> Tensor:
    return torch.atan2(d, 1.0 + z * (z + d))


def inverse_root(z: Tensor, d: Tensor) -> Tensor:
    a, b = torch.sqrt(z), torch.sqrt(z + d)
    return -d / (a * b * (a + b))


def whole_power(z: Tensor, d: Tensor, *, power: int) -> Tensor:
    """d times the sum of (z + d)^k z^(power - 1 - k)."""
    edited, total, low = z + d, torch.ones_like(d), torch.ones_like(z)
    for _ in range(power - 1):
        low = low * z
        total = total * edited + low
    return total * d


def any_power(z: Tensor, d: Tensor, *, power: float) -> Tensor:
    return torch.pow(z, power) * torch.expm1(torch.log1p(d / z) * power)


FORMS: dict[Any, Form] = {
    aten.log2.default: partial(scaled_log, base=2.0),
    aten.log10.default: partial(scaled_log, base=10.0),
    aten.expm1.default: partial(change_of, "exp"),
    aten.erf.default: erf,
    aten.sin.default: sine,
    aten.cos.default: cosine,
    aten.atan.default: arctangent,
    aten.rsqrt.default: inverse_root,
}


@rule(*FORMS)
def lower_formula(low: Lowering, node: torch.fx.Node) -> Formula:
    source: Any = node.args[0]
    return Formula((low.ripple(source),), low.axes(source), (source.name,), FORMS[node.target])


POWERS = {2: "square", 0.5: "sqrt", -1: "reciprocal"}


@rule(aten.pow.Tensor_Scalar)
def lower_power(low: Lowering, node: torch.fx.Node) -> Pointwise | Formula | Alias:
    source: Any = node.args[0]
    power: Any = node.args[1]
    if power == 1:
        return Alias(low.ripple(source), low.axes(source))
    if power in POWERS:
        return function_of(low, node, POWERS[power])
    if power == 0:
        raise NotLocal("a power of 0 is 1 whatever is edited")
    whole = power == int(power) and 0 < power < 16
    form = partial(whole_power, power=int(power)) if whole else partial(any_power, power=power)
    return Formula((low.ripple(source),), low.axes(source), (source.name,), form)
