"""Integrals behind the first convolution are those in front of it, in float64 and in float32."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nucleoscope
from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.gradients import backward as backward_module
from nucleoscope.engine.gradients import first_layer
from nucleoscope.engine.gradients.backward import Backward
from nucleoscope.engine.gradients.integral import Paths, by_thirds, integral
from nucleoscope.engine.gradients.quadrature import rule
from nucleoscope.engine.prepare import ask
from nucleoscope.methods.ensemble import View
from nucleoscope.methods.gradients.differentiating import opened_for
from tests.nets import ZOO, build, controlled
from tests.parts import Net, conv, lively, sequences

HAVE = ["bpnet_valid", "basset"]  # two targets, behind a ReLU; BatchNorm and a pool in front of it


def read_twice() -> nn.Module:
    """A second convolution reads X, too."""
    return Net(
        lambda net, x: (net.one(x) + net.two(x)).relu().mean(2), one=conv(4, 5), two=conv(4, 5, 3)
    )


def opened(model: nn.Module, X: Tensor, target: Any, others: tuple[Tensor, ...] = ()) -> Backward:
    """The model's gradients by its trace, in float64."""
    asked = ask(
        model, X, others, start=0, end=None, layout="NCL", alphabet="ACGT", precision="fp64",
        memory=None, device=None,
    )  # fmt: skip
    return opened_for(asked, Read(target), View()).backward


@pytest.fixture(autouse=True)
def traced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backward_module, "WORTH_A_TRACE", 0)
    monkeypatch.setattr(backward_module, "REPAID", 1)


def without(backward: Backward, paths: Paths, nodes: int, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The same integral with a convolution at every node."""
    with monkeypatch.context() as patch:
        patch.setattr(first_layer, "SHARE", 1 << 60)
        assert first_layer.interpolated(backward) is None
        return integral(backward, paths, rule("midpoint", nodes), lambda _: None)


@pytest.mark.parametrize(("name", "one"), [(HAVE[0], True), (HAVE[1], False)])
def test_as_in_front_of_it(name: str, one: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    _, length, target, _ = ZOO[name]
    X = sequences(5, length).double()
    start = torch.full_like(X[:1], 0.25) if one else sequences(5, length, seed=3).double()
    backward = opened(build(name), X.float(), target)
    assert first_layer.interpolated(backward) is not None
    backward.rows = 7  # batches that end within a sequence, and hold several
    counted: list[int] = []
    for nodes in (8, 3):
        paths = Paths((start,), (X,))
        counted.clear()
        got = integral(backward, paths, rule("midpoint", nodes), counted.append)
        assert sum(counted) == 5 * nodes
        want = without(backward, paths, nodes, monkeypatch)
        for a, b in ((got.mean[0], want.mean[0]), (got.null[0], want.null[0])):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12 * float(b.abs().max()))


def test_the_convolution_is_made_twice_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    X = sequences(2, 60)
    backward = opened(build("bpnet"), X, 0)
    behind = first_layer.interpolated(backward)
    assert behind is not None
    made: list[int] = []
    back: list[int] = []
    run, through = behind.first.before_relu, behind.first.back_through

    def ends(x: Tensor, residual: None) -> Tensor:
        made.append(len(x))
        return run(x, residual)

    def by_x(by_z: Tensor, positions: int) -> Tensor:
        back.append(len(by_z))
        return through(by_z, positions)

    monkeypatch.setattr(behind.first, "made", lambda *_: pytest.fail("it was run at a node"))
    monkeypatch.setattr(behind.first, "before_relu", ends)
    monkeypatch.setattr(behind.first, "back_through", by_x)
    paths = Paths((torch.full_like(X[:1], 0.25).double(),), (X.double(),))
    integral(backward, paths, rule("midpoint", 32), lambda _: None)
    assert sum(made) <= 2 * len(X)
    assert sum(back) == 2 * len(X)  # the rule, and its null rule


def test_thirds_and_further_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    net = lively(Net(
        lambda net, x, c: net.last((net.first(x) * c[:, :1]).relu()).mean(2), first=conv(4, 5), last=conv(5, 2)
    ))  # fmt: skip
    X, control = sequences(3, 33), torch.rand(3, 2, 33)
    backward = opened(net, X, [0, 1], (control,))
    assert first_layer.interpolated(backward) is not None
    paths = Paths((X.double() * 0,), (X.double(),), (control.double(),))
    got = by_thirds(backward, paths, 1e-9, 24, lambda _: None)
    want = without(backward, paths, 24, monkeypatch)
    torch.testing.assert_close(got.mean[0], want.mean[0], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(got.null[0], want.null[0], rtol=1e-9, atol=1e-12)


def test_two_readers_of_x_go_the_ordinary_way() -> None:
    assert first_layer.interpolated(opened(read_twice(), sequences(2, 40), 0)) is None
    model = lively(controlled(33))  # the track lies beside X before it
    given = (torch.rand(2, 2, 33),)
    assert first_layer.interpolated(opened(model, sequences(2, 33), 0, given)) is None


@pytest.mark.parametrize("target", [0, [0, 1, 0]])
def test_it_is_gated_on_memory(target: Any) -> None:
    X = sequences(2, 60)
    backward = opened(build("bpnet"), X, target)
    value = backward.program.program.first.layer.nodes[-1].meta["val"]  # type: ignore[union-attr]
    one = value[0].numel() * value.element_size() * (1 + backward.look.targets)
    backward.rows = 20
    held = (
        first_layer.SHARE * (20 + 3 * first_layer.SUMS) * one
    )  # sums of three paths of eight nodes
    backward.memory = held
    assert first_layer.interpolated(backward) is not None
    backward.memory = held - 1
    assert first_layer.interpolated(backward) is None
    backward.memory, backward.rows = held, 21
    assert first_layer.interpolated(backward) is None


def test_the_answer_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    model, X = build("bpnet"), sequences(2, 60)
    got = nucleoscope.integrated_gradients(model, X, target=0, n_steps=16)
    assert got.facts["first_layer"] == first_layer.SAID
    monkeypatch.setattr(first_layer, "SHARE", 1 << 60)
    want = nucleoscope.integrated_gradients(model, X, target=0, n_steps=16)
    assert "first_layer" not in want.facts
    torch.testing.assert_close(got.scores, want.scores, rtol=1e-3, atol=1e-5)


def test_what_is_not_finite_is_named() -> None:
    """A root that has no value on the first half of the way."""
    model = Net(
        lambda net, x: (net.sign * (net.first(x).mean(2) - net.middle)).sqrt(), first=conv(4, 1),
        sign=1.0, middle=0.0,
    )  # fmt: skip
    X = sequences(1, 33)
    with torch.no_grad():
        begin, end = (float(model.first(x).mean()) for x in (torch.full_like(X, 0.25), X))
    model.sign, model.middle = end - begin, (begin + end) / 2
    with pytest.raises(ValueError, match="NaN or infinite"):
        nucleoscope.integrated_gradients(model, X, n_steps=8)
