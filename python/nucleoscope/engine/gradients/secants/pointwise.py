"""Elementwise functions: the slope of the chord between baseline and sequence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from nucleoscope.engine.gradients.secants.registry import Call, Values, aten, derivative, secant
from nucleoscope.engine.rules.formula import FORMS, POWERS, any_power, whole_power
from nucleoscope.engine.rules.pointwise import NAMED
from nucleoscope.ops import change_of

Change = Callable[
    [Tensor, Tensor], Tensor
]  # b, d -> g(b + d) - g(b), in a form that does not cancel
# What stands for no change: the forms never subtract it from anything, so their slope there is the derivative.
LEAST = 1e-12


def slope(change: Change, x: Tensor, b: Tensor) -> Tensor:
    """(g(x) - g(b)) / (x - b), the derivative where the two are the same."""
    d = x - b
    d = torch.where(d == 0, LEAST, d)
    return change(b, d) / d


def change_in(node: torch.fx.Node) -> Change | None:
    """The change of an elementwise function of one value; None where it is not one of ours."""
    if node.target in NAMED:
        function, parameters = NAMED[node.target](node)
        return lambda z, d: change_of(function, z, d, *parameters)
    if node.target is aten.log.default:
        return partial(change_of, "log")
    if node.target is aten.pow.Tensor_Scalar:
        return _power(node.args[1])
    return FORMS.get(node.target)


def _power(power: Any) -> Change:
    if power == 0:
        return lambda _z, d: torch.zeros_like(d)
    if power in POWERS:
        return partial(change_of, POWERS[power])
    whole = power == int(power) and 0 < power < 16
    return partial(whole_power, power=int(power)) if whole else partial(any_power, power=power)


@secant(aten.relu.default)
def relu(_call: Call, m: Tensor, x: Values, b: Values) -> Sequence[Tensor | None]:
    """Its chord is what of the way from the lower value to the higher is above 0: 1 where both are, bit for bit.

    Where the two are the same their quotient is infinite, with the sign of both, or at 0 no number.
    """
    high, way = torch.maximum(x[0], b[0]), (x[0] - b[0]).abs_()
    chord = high.div_(way).clamp_(0.0, 1.0)
    return [torch.nan_to_num_(chord, 0.0).mul_(m)]


@secant(
    *(f for f in NAMED if f is not aten.relu.default),
    *FORMS,
    aten.log.default,
    aten.pow.Tensor_Scalar,
)
def pointwise(call: Call, m: Tensor, x: Values, b: Values) -> Sequence[Tensor | None]:
    change = change_in(call.node)
    assert change is not None
    return [m * slope(change, x[0], b[0])]


def plain_slope(run: Callable[..., Any], m: Tensor, x: Tensor, b: Tensor) -> Tensor:
    """m times the slope, by the difference itself; the derivative where there is none."""
    d = x - b
    (tangent,) = derivative(run, (b,), m)
    assert tangent is not None
    return torch.where(d == 0, tangent, m * (run(x) - run(b)) / torch.where(d == 0, 1.0, d))
