"""The traced program's gradient is that of the model, by torch's autograd in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from nucleoscope.engine.gradients.program import Program
from nucleoscope.engine.tracing.trace import trace
from tests.nets import ZOO, build, channels_last, controlled
from tests.parts import Lambda, conv, lively, sequences

CPU = torch.device("cpu")


def program(
    model: nn.Module, X: Tensor, others: tuple[Tensor, ...] = (), layout: str = "NCL"
) -> Program:
    """The model traced at X, in the number type of X."""
    return Program(trace(model, X, others, layout), X.dtype, CPU)


def on_a_path(count: int, length: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Inputs between one-hot sequences and a uniform baseline."""
    return sequences(count, length).to(dtype) * torch.rand(count, 1, 1, dtype=dtype) + 0.1


def some_numbers(output: Tensor) -> Tensor:
    """Three weighted sums of an output [B, ...] -> [B, 3]."""
    flat = output.flatten(1)
    weights = torch.linspace(-1.0, 2.0, 3 * flat.shape[1], dtype=flat.dtype)
    return flat @ weights.view(-1, 3).cos()


def by_autograd(
    model: nn.Module, X: Tensor, others: tuple[Tensor, ...] = (), read: Callable[..., Tensor] = some_numbers
) -> tuple[Tensor, Tensor]:  # fmt: skip
    leaf = X.clone().requires_grad_()
    values = read(model(leaf, *others))
    each = [torch.autograd.grad(v.sum(), leaf, retain_graph=True)[0] for v in values.unbind(1)]
    return values.detach(), torch.stack(each, 1)


def assert_near(got: Tensor, expected: Tensor, share: float) -> None:
    assert got.shape == expected.shape
    allowed = share * float(expected.abs().max())
    torch.testing.assert_close(got.double(), expected.double(), rtol=0, atol=allowed)


@pytest.mark.parametrize("name", ZOO)
def test_net(name: str) -> None:
    model, X = build(name).double().eval(), on_a_path(5, ZOO[name][1])
    values, gradients = program(model, X).gradient(X, read=some_numbers)
    expected = by_autograd(model, X)
    assert expected[1].abs().max() > 0
    assert_near(values, expected[0], 1e-11)
    assert_near(gradients, expected[1], 1e-11)


@pytest.mark.parametrize("name", ["bpnet", "basset", "squeeze_excite"])
def test_float32(name: str) -> None:
    model, X = build(name).eval(), on_a_path(5, ZOO[name][1], torch.float32)
    made = program(model, X).gradient(X, read=some_numbers)
    for got, expected in zip(made, by_autograd(model.double(), X.double()), strict=True):
        assert_near(got, expected, 1e-5)


def test_channels_last() -> None:
    model = lively(channels_last(30)).double()
    X = on_a_path(3, 30).mT.contiguous()
    got = program(model, X, layout="NLC").gradient(X, read=some_numbers)
    for each, expected in zip(got, by_autograd(model, X), strict=True):
        assert_near(each, expected, 1e-11)


@pytest.mark.parametrize("how", ["concat", "add", "multiply"])
def test_a_control_track(how: str) -> None:
    model, X = lively(controlled(33, how)).double(), on_a_path(3, 33)
    others = (torch.randn(3, 2, 33, dtype=torch.float64),)
    got = program(model, X, others).gradient(X, others, read=some_numbers)
    for each, expected in zip(got, by_autograd(model, X, others), strict=True):
        assert_near(each, expected, 1e-11)


def test_what_the_model_detaches_stays_detached() -> None:
    gate = Lambda(lambda x: (x * torch.sigmoid(x).detach()).sum(2))
    model = nn.Sequential(conv(4, 3), gate).double()
    X = on_a_path(3, 20)
    _, gradients = program(model, X).gradient(X, read=some_numbers)
    assert_near(gradients, by_autograd(model, X)[1], 1e-12)


def test_nothing_to_differentiate() -> None:
    model = nn.Sequential(conv(4, 3), Lambda(lambda x: torch.sign(x).detach().sum(2)))
    X = on_a_path(2, 20, torch.float32)
    with pytest.raises(ValueError, match="target: nothing that it reads depends on the sequence"):
        program(model, X).gradient(X, read=some_numbers)


def test_further_inputs_are_counted() -> None:
    X = on_a_path(2, 33, torch.float32)
    held = program(lively(controlled(33, "add")), X, (torch.randn(2, 2, 33),))
    with pytest.raises(ValueError, match=r"args: 0 further inputs are given, .* takes 1"):
        held.gradient(X, read=some_numbers)
