"""A BatchNorm is part of the convolution ahead of it where nobody hears what lies between, and nowhere else."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from nucleoscope.engine.tracing.trace import trace
from nucleoscope.engine.values.cuts import Cut
from nucleoscope.engine.values.forward import Forward
from nucleoscope.engine.values.partial import Partial

CPU = torch.device("cpu")


def norm(channels: int, **given: bool | float) -> nn.BatchNorm1d:
    made = nn.BatchNorm1d(channels, **given)  # type: ignore[arg-type]
    for t in (made.running_mean, made.running_var, made.weight, made.bias):
        if t is not None:
            nn.init.uniform_(t, 0.4, 2.0)
    return made


class Residual(nn.Module):
    """A convolution that something else than its BatchNorm reads, too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv1d(4, 9, 5), norm(9)

    def forward(self, x: Tensor) -> Tensor:
        z = self.conv(x)
        return z + self.norm(z).relu()


PLAIN = nn.Sequential(
    nn.Conv1d(4, 9, 5), norm(9), nn.ReLU(), nn.MaxPool1d(3), nn.Conv1d(9, 6, 3), norm(6)
)
OTHERS = {
    "no bias": nn.Sequential(
        nn.Conv1d(4, 9, 5, bias=False), norm(9), nn.ReLU(), nn.Conv1d(9, 5, 1)
    ),
    "no affine": nn.Sequential(
        nn.Conv1d(4, 9, 5, stride=2, padding=2), norm(9, affine=False), nn.ReLU()
    ),
    "groups": nn.Sequential(nn.Conv1d(4, 8, 3, groups=2, dilation=3), norm(8, eps=0.1), nn.GELU()),
    "few channels": nn.Sequential(nn.Conv1d(4, 3, 5), norm(3), nn.ReLU()),
}


@pytest.fixture
def X() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(3, 4, 58).double()


def original(
    model: nn.Module, X: Tensor, heard: tuple[str, ...] | None, cut: Cut | None = None
) -> tuple[Tensor, dict[str, Tensor], Forward, Partial]:
    graph = trace(copy.deepcopy(model).eval(), X.float(), ())
    held = Forward(graph, torch.float64, CPU)
    partial = Partial(graph, [(graph.output, cut), *((name, cut) for name in heard or ())])
    seen: dict[str, Tensor] = {}
    with torch.no_grad():
        made = held.original({graph.edited: X}, lambda n, v: seen.update({n: v}), partial, heard)
    return made, seen, held, partial


@pytest.mark.parametrize(
    "model", [PLAIN, *OTHERS.values(), Residual()], ids=["plain", *OTHERS, "read twice"]
)
def test_the_output_is_the_model_s(model: nn.Module, X: Tensor) -> None:
    with torch.no_grad():
        wanted = copy.deepcopy(model).double().eval()(X)
    for heard in (None, (), ("conv1d",)):
        torch.testing.assert_close(original(model, X, heard)[0], wanted)


def test_what_is_heard_is_what_it_is_in_the_model(X: Tensor) -> None:
    with torch.no_grad():
        first = PLAIN[0].double()(X)
        PLAIN.float()
    for heard in (None, ("conv1d",)):
        torch.testing.assert_close(original(PLAIN, X, heard)[1]["conv1d"], first)
    _, seen, held, partial = original(PLAIN, X, ())
    joined = held._joins.where((), partial)
    assert len(joined.norms) == 2
    assert not torch.allclose(seen["conv1d"], first)
    assert list(held._joins.where(("conv1d",), partial).weights) == ["conv1d_1"]


def test_some_positions_alone(X: Tensor) -> None:
    with torch.no_grad():
        wanted = copy.deepcopy(PLAIN).double().eval()(X)
    made, _, held, partial = original(PLAIN, X, (), Cut(2, 3, 4))
    assert len(held._joins.where((), partial).norms) == 2
    torch.testing.assert_close(made, wanted[:, :, 2:12:3])


def test_what_lies_between_at_other_positions_is_left_alone(X: Tensor) -> None:
    _, _, held, _ = original(PLAIN, X, ())
    graph = held.graph
    wider = Partial(graph, [(graph.output, Cut(2, 1, 3)), ("conv1d", None)])
    assert list(held._joins.where((), wider).weights) == ["conv1d_1"]


def test_one_that_is_read_twice_is_left_alone(X: Tensor) -> None:
    _, _, held, partial = original(Residual(), X, ())
    assert not held._joins.where((), partial).norms


def test_a_scale_that_is_not_finite_stays_with_what_it_multiplies(X: Tensor) -> None:
    model = copy.deepcopy(PLAIN)
    model[1].eps = 0.0
    with torch.no_grad():
        model[1].running_var[3] = 0.0
        wanted = copy.deepcopy(model).double().eval()(X)
    made, _, held, partial = original(model, X, ())
    assert list(held._joins.where((), partial).weights) == ["conv1d_1"]
    torch.testing.assert_close(made, wanted, equal_nan=True)


def test_a_relu_goes_behind_the_pool_that_reads_it(X: Tensor) -> None:
    with torch.no_grad():
        wanted = copy.deepcopy(PLAIN).double().eval()(X)
    made, seen, held, partial = original(PLAIN, X, ())
    joined = held._joins.where((), partial)
    assert (list(joined.relus), joined.pools) == (["relu"], {"max_pool1d"})
    assert (seen["relu"] < 0).any()
    assert not (seen["max_pool1d"] < 0).any()
    torch.testing.assert_close(made, wanted)
    assert not held._joins.where(("relu",), partial).relus
    assert not (original(PLAIN, X, ("relu",))[1]["relu"] < 0).any()


def test_a_relu_that_is_read_twice_stays_where_it_is(X: Tensor) -> None:
    class Twice(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            h = x.relu()
            return nn.functional.max_pool1d(h, 2) + h[:, :, ::2]

    made, _, held, partial = original(Twice(), X, ())
    assert not held._joins.where((), partial).relus
    torch.testing.assert_close(made, Twice()(X))
