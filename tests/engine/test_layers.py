"""Which convolutions of a traced net run as whole layers, and with what behind them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from nucleoscope.engine.gradients.program import Program
from nucleoscope.engine.graph import Graph
from nucleoscope.engine.tracing.trace import trace
from nucleoscope.engine.values.layers import layers
from tests.engine.test_program import assert_near, by_autograd, on_a_path, some_numbers
from tests.parts import conv, lively

F = torch.nn.functional


class Between(nn.Module):
    """conv, then what a case does with its output z and its input x."""

    def __init__(self, what: Callable[..., Tensor]) -> None:
        super().__init__()
        self.first, self.conv = conv(4, 6), conv(6, 6, padding=2)
        self.norm, self.what = nn.BatchNorm1d(6), what

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.what(self, x, self.conv(x))


# what follows the second convolution -> whether its layer takes in (BatchNorm, ReLU, residual, before the ReLU)
CASES: dict[str, tuple[Callable[..., Tensor], tuple[bool, bool, bool, bool]]] = {
    "nothing": (lambda _m, _x, z: torch.sigmoid(z), (False, False, False, False)),
    "relu": (lambda _m, _x, z: F.relu(z).square(), (False, True, False, False)),
    "norm and relu": (lambda m, _x, z: F.relu(m.norm(z)).square(), (True, True, False, False)),
    "residual behind": (lambda _m, x, z: (x + F.relu(z)).square(), (False, True, True, False)),
    "residual before": (lambda m, x, z: F.relu(m.norm(z) + x).square(), (True, True, True, True)),
    "residual alone": (lambda _m, x, z: torch.sigmoid(z + x), (False, False, True, False)),
    "another residual": (
        lambda _m, x, z: (x.square() + F.relu(z)).square(),
        (False, True, True, False),
    ),
    "another before": (lambda _m, x, z: F.relu(z + x.sin()).square(), (False, True, True, True)),
    "read twice": (lambda _m, _x, z: z + F.relu(z), (False, False, False, False)),
    "itself twice": (lambda _m, _x, z: F.relu(z) + F.relu(z), (False, False, False, False)),
    "norm behind relu": (lambda m, _x, z: m.norm(F.relu(z)), (False, True, False, False)),
    "scaled sum": (
        lambda _m, x, z: torch.add(F.relu(z), x, alpha=0.5).square(),
        (False, True, False, False),
    ),
    "a constant": (lambda _m, _x, z: (F.relu(z) + 0.5).square(), (False, True, False, False)),
    "spread over the length": (
        lambda _m, x, z: (F.relu(z) + x.mean(2, keepdim=True)).square(),
        (False, True, True, False),
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("samples", [2, 5])
def test_what_a_layer_takes_in(name: str, samples: int) -> None:
    what, expected = CASES[name]
    model, X = lively(Between(what)).double().eval(), on_a_path(samples, 40)
    graph = trace(model, X, ())
    *_, layer = layers(graph).values()
    taken = (layer.norm is not None, layer.relu, layer.residual is not None, layer.residual_first)
    assert taken == expected
    made = Program(graph, X.dtype, torch.device("cpu")).gradient(X, read=some_numbers)
    for got, wanted in zip(made, by_autograd(model, X), strict=True):
        assert_near(got, wanted, 1e-12)


@pytest.mark.parametrize(
    "settings",
    [
        {"stride": 3, "padding": 2},
        {"dilation": 4, "padding": "same"},
        {"padding": "same", "kernel_size": 4},  # one more at one end: torch's own
        {"padding": "valid", "bias": False},
        {"groups": 2, "padding": 1},
        {"padding_mode": "circular", "padding": 3},
    ],
)
def test_any_convolution(settings: dict[str, object]) -> None:
    taps = settings.pop("kernel_size", 5)
    inner = nn.Conv1d(6, 8, taps, **settings)  # type: ignore[arg-type]
    model = nn.Sequential(conv(4, 6), nn.ReLU(), inner, nn.ReLU(), nn.Conv1d(8, 2, 1)).double()
    X = on_a_path(4, 50)
    graph = trace(model, X, ())
    assert len(layers(graph)) == (2 if taps == 4 else 3)
    made = Program(graph, X.dtype, torch.device("cpu")).gradient(X, read=some_numbers)
    for got, wanted in zip(made, by_autograd(model, X), strict=True):
        assert_near(got, wanted, 1e-12)


@pytest.mark.parametrize("name", CASES)
def test_products_of_bfloat16(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nucleoscope.engine.values.short.WIDE", 1)
    model, X = lively(Between(CASES[name][0])).eval(), on_a_path(3, 40, torch.float32)
    graph = trace(model, X, ())
    assert Program(graph, X.dtype, torch.device("cpu"), short=True).short
    held_to_float32(graph, X)


@pytest.mark.parametrize(
    "settings",
    [
        {"stride": 3, "padding": 2},
        {"dilation": 4, "padding": "same"},
        {"padding": "valid", "bias": False},
        {"groups": 2, "padding": 1},
    ],
)
def test_any_convolution_of_bfloat16(
    settings: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nucleoscope.engine.values.short.WIDE", 1)
    inner = nn.Conv1d(6, 8, 5, **settings)  # type: ignore[arg-type]
    model = nn.Sequential(conv(4, 6), nn.Softplus(), inner, nn.Softplus(), nn.Conv1d(8, 2, 1))
    X = on_a_path(4, 50, torch.float32)
    held_to_float32(trace(model, X, ()), X)


def held_to_float32(graph: Graph, X: Tensor) -> None:
    """A value and a gradient are near; where a unit lies beside its kink one number of a gradient need not be."""
    short, whole = (
        Program(graph, X.dtype, torch.device("cpu"), short).gradient(X, read=some_numbers)
        for short in (True, False)
    )
    for got, wanted in zip(short, whole, strict=True):
        assert got.dtype == torch.float32
        assert 0 < (got - wanted).norm() < 0.05 * wanted.norm()
