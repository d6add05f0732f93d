"""The change of a pointwise function keeps its digits: small changes, large values, both at once.

Judged in float64 on the same numbers, relative to |d| times the function's steepest
slope on the way, or a tenth where it is flatter than that.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from nucleoscope.naive import ops as naive
from nucleoscope.ops import Original, Rows, delta_pointwise
from tests.functions import FUNCTIONS, Function
from tests.parts import Net, conv, sequences
from tests.truth import assert_close, engine, truth

Plain = Callable[[Tensor], Tensor]
SIZES = torch.tensor([10.0**k for k in range(-8, 2)])


def steepest(function: Plain, z: Tensor, edited: Tensor) -> Tensor:
    """The largest |slope| on the way from z to edited, in float64 by autograd at 65 points."""
    share = torch.linspace(0, 1, 65, dtype=torch.float64)
    path = (z[..., None] + (edited - z)[..., None] * share).requires_grad_()
    (slope,) = torch.autograd.grad(function(path).sum(), path)
    return slope.abs().amax(-1)


def by_integral(function: Plain, z: Tensor, d: Tensor) -> Tensor:
    """g(z + d) - g(z) in float64: the difference, or for a small d the mean slope times d."""
    nodes, weights = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(12))
    nodes, weights = nodes * 0.5 + 0.5, weights * 0.5
    path = (z[..., None] + d[..., None] * nodes).requires_grad_()
    (slope,) = torch.autograd.grad(function(path).sum(), path)
    return torch.where(d.abs() < 2e-3, (slope * weights).sum(-1) * d, function(z + d) - function(z))


def compiled(function: Function, z: Tensor, d: Tensor) -> Tensor:
    """The op on z [..., M] and d [..., K, M]."""
    rows = Rows(torch.tensor([[0]]), (1,))
    original = Original(z.reshape(1, 1, -1), torch.zeros(1, dtype=torch.int32))
    return delta_pointwise(d, rows, original, 1, **function.named)


def defined(function: Function, z: Tensor, d: Tensor) -> Tensor:
    return naive.change_of(function.name, z, d, *function.parameters)


SIDES = pytest.mark.parametrize("change", [compiled, defined], ids=["ours", "naive"])
Change = Callable[[Function, Tensor, Tensor], Tensor]


@SIDES
@pytest.mark.parametrize("name", FUNCTIONS)
def test_small_and_large_changes(name: str, change: Change) -> None:
    function = FUNCTIONS[name]
    plain, positive = function.plain, function.positive
    z = torch.linspace(0.05 if positive else -30.0, 30.0, 241)
    for kink in function.kinks:  # none within reach of a small step
        z = z[(z - kink).abs() > 2e-3]
    d = torch.cat([SIZES, -SIZES])
    many = z.view(1, 1, 1, -1), d.view(1, 1, -1, 1).expand(1, 1, -1, len(z)).contiguous()
    wide, step = many[0].double().expand_as(many[1]).contiguous(), many[1].double()
    if positive:
        step = torch.where(wide + step > 0.01, step, torch.zeros(()).double())
    want = by_integral(plain, wide, step)
    scale = steepest(plain, wide, wide + step).clamp(min=0.1) * step.abs() + 1e-38
    for dtype, digits in ((torch.float32, 3e-6), (torch.float64, 1e-10)):
        got = change(function, many[0].to(dtype), step.to(dtype))
        error = ((got.double() - want).abs() / scale).nan_to_num(nan=torch.inf)
        at = int(error.argmax())
        assert error.max() <= digits, (
            f"{dtype}: {float(error.max()):.1e} at z={float(wide.flatten()[at]):.3f}, "
            f"d={float(step.flatten()[at]):.1e}"
        )


@SIDES
@pytest.mark.parametrize(
    "name", ["elu", "exp", "softplus", "sigmoid", "silu", "gelu", "gelu_tanh", "tanh"]
)
def test_from_far_below(name: str, change: Change) -> None:
    function = FUNCTIONS[name]
    z = torch.tensor([-120.0, -95.0, -80.0]).view(1, 1, 1, -1)
    for d in (80.0, 95.0, 119.0, 121.0):
        step = torch.full((1, 1, 1, 3), d)
        want = function.plain(z.double() + step.double()) - function.plain(z.double())
        got = change(function, z, step).double()
        finite = want.abs() < 1e37
        close = (got - want).abs() <= 1e-5 * want.abs() + 1e-5
        assert (close | ~finite).all(), (name, d, got, want)


@pytest.mark.parametrize("function", [torch.softmax, torch.log_softmax])
@pytest.mark.parametrize("size", [1e-4, 1.0, 12.0, 100.0])
def test_softmax(function: Callable[[Tensor, int], Tensor], size: float) -> None:
    # Where the largest logit falls from the top, 1 + sum(p expm1(d)) nearly vanishes.
    first = conv(4, 4, 1)
    with torch.no_grad():
        first.weight.copy_(torch.randn(4, 4, 1) * size)
    model = Net(lambda net, x: function(net.first(x), 1)[:, :, 3:5].flatten(1), first=first)
    X = sequences(2, 8)
    want = truth(model, X, target=list(range(8)))
    naive = truth(model, X, target=list(range(8)), dtype=torch.float32)
    allowed = 3e-6 * want.abs().max() + 2 * (naive - want).abs().max()
    assert_close(engine(model, X, target=list(range(8))), want, allowed.expand(8))
