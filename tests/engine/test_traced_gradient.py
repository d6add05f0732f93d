"""Gradient methods go by the traced program where there is one, and only if it agrees with the model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nucleoscope
from nucleoscope.engine.gradients import backward as backward_module
from nucleoscope.engine.gradients.program import Program
from nucleoscope.engine.gradients.traced_gradient import Disagreement, TracedGradient
from nucleoscope.engine.tracing.trace import trace
from tests.engine.test_program import by_autograd, on_a_path, some_numbers
from tests.nets import ZOO, build
from tests.parts import conv, sequences


class NotExported(nn.Module):
    """A model whose way depends on what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = conv(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        made = self.conv(x)
        return made.sum(2) if float(made.detach().sum()) > -1e9 else made.mean(2)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[TracedGradient]:
    """The programs that were held against a model, to be taken in its stead."""
    seen: list[TracedGradient] = []
    check = TracedGradient.check

    def watched(self: TracedGradient, *given: Any) -> None:
        check(self, *given)
        seen.append(self)

    monkeypatch.setattr(TracedGradient, "check", watched)
    monkeypatch.setattr(backward_module, "WORTH_A_TRACE", 0)
    monkeypatch.setattr(backward_module, "REPAID", 1)
    return seen


@pytest.mark.parametrize("name", ["bpnet", "attention"])
def test_methods_go_by_the_program(name: str, taken: list[TracedGradient]) -> None:
    model, X = build(name).eval(), sequences(3, ZOO[name][1])
    got = nucleoscope.saliency(model, X, target=0, hypothetical=True, center="none").scores
    assert len(taken) == 1

    def first(output: Tensor) -> Tensor:
        """Target 0: the mean of what it selects."""
        return output[:, 0].flatten(1).mean(1, keepdim=True) if output.ndim > 2 else output[:, :1]

    expected = by_autograd(model.double(), X.double(), read=first)[1][:, 0]
    allowed = 1e-4 * float(expected.abs().max())
    torch.testing.assert_close(torch.as_tensor(got).double(), expected, rtol=0, atol=allowed)


def test_a_small_request_goes_by_the_model(taken: list[TracedGradient], monkeypatch: Any) -> None:
    monkeypatch.undo()
    model, X = build("bpnet").eval(), sequences(2, ZOO["bpnet"][1])
    nucleoscope.saliency(model, X, target=0)
    assert not taken


def test_a_program_is_held_against_the_model_until_it_changes(taken: list[TracedGradient]) -> None:
    model, X = build("bpnet").eval(), sequences(3, ZOO["bpnet"][1])
    runs = [nucleoscope.saliency(model, X, target=0) for _ in range(2)]
    assert len(taken) == 1
    assert torch.equal(runs[0].scores, runs[1].scores)
    nucleoscope.saliency(model, X, target=1)
    assert len(taken) == 2
    with torch.no_grad():
        next(model.parameters()).mul_(2)
    changed = nucleoscope.saliency(model, X, target=1)
    assert len(taken) == 3
    with torch.no_grad():
        torch.testing.assert_close(changed.original[:, 0], model(X)[:, 1])


def test_small_requests_add_up_to_one_that_is_worth_a_trace(
    taken: list[TracedGradient], monkeypatch: Any
) -> None:
    model, X = build("bpnet").eval(), sequences(2, ZOO["bpnet"][1])
    row = nucleoscope.plan_gradients(model, X, target=0).row
    taken.clear()
    model = build("bpnet").eval()
    monkeypatch.setattr(backward_module, "WORTH_A_TRACE", 5 * row)
    for calls in (1, 2, 3):
        nucleoscope.saliency(model, X, target=0)
        assert len(taken) == (calls == 3)


def test_few_points_of_a_large_net_do_not_repay_a_trace(
    taken: list[TracedGradient], monkeypatch: Any
) -> None:
    model, X = build("bpnet").eval(), sequences(2, ZOO["bpnet"][1])
    monkeypatch.setattr(backward_module, "REPAID", 5)
    for calls in (1, 2, 3):
        nucleoscope.saliency(model, X, target=0)
        assert len(taken) == (calls == 3)


def test_what_cannot_be_traced_goes_by_the_model(taken: list[TracedGradient]) -> None:
    X = sequences(2, 20)
    assert nucleoscope.saliency(NotExported().eval(), X, target=0).scores.shape == (2, 4, 20)
    assert not taken


def saliency(model: nn.Module, X: Tensor, **asked: Any) -> Tensor:
    given = {"hypothetical": True, "center": "none", **asked}
    return torch.as_tensor(nucleoscope.saliency(model, X, **given).scores)


def test_masks_of_one_shape_are_two_targets(taken: list[TracedGradient]) -> None:
    model, X = build("bpnet").eval(), sequences(2, ZOO["bpnet"][1])
    outputs = model(X).shape[1:]
    masks = [torch.zeros(outputs, dtype=torch.bool) for _ in range(2)]
    masks[0].view(-1)[0] = masks[1].view(-1)[-1] = True
    for mask in masks:
        leaf = X.clone().requires_grad_()
        expected = torch.autograd.grad(model(leaf)[:, mask].sum(), leaf)[0]
        torch.testing.assert_close(saliency(model, X, target=mask), expected, rtol=1e-3, atol=1e-6)
    assert len(taken) == 2


TRACK = 0


@pytest.mark.usefixtures("taken")
def test_a_global_that_func_reads_may_change() -> None:
    global TRACK
    model = nn.Sequential(conv(4, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten()).eval()
    X = sequences(2, 40)

    def chosen(output: Tensor) -> Tensor:
        return output[:, TRACK : TRACK + 1]

    for TRACK in (0, 2):
        expected = saliency(model, X, target=TRACK)
        torch.testing.assert_close(saliency(model, X, func=chosen), expected, rtol=1e-4, atol=1e-6)


class Through(torch.autograd.Function):
    """A clamp whose gradient does not stop outside it."""

    @staticmethod
    def forward(_ctx: Any, x: Tensor) -> Tensor:
        return x.clamp(-1, 1)

    @staticmethod
    def backward(_ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


class Clipped(nn.Module):
    """A net with a derivative of its own making."""

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = Through.apply(x * torch.arange(1.0, 5.0)[:, None] / 2)  # type: ignore[no-untyped-call]
        return made.sum((1, 2))[:, None]


def test_a_derivative_of_the_model_s_own_stays(taken: list[TracedGradient]) -> None:
    X = torch.zeros(2, 4, 6)
    X[0, 0], X[1, 3] = 1, 1  # within the clamp, and beyond it
    got = saliency(Clipped().eval(), X, target=0)
    expected = (torch.arange(1.0, 5.0) / 2)[None, :, None].expand(2, 4, 6)
    torch.testing.assert_close(got, expected)
    assert not taken


class Endless(nn.Module):
    """A net whose slope at a letter that is not there is infinite."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sqrt().sum((1, 2))[:, None]


def test_what_was_never_held_against_the_model_is_not_taken(
    taken: list[TracedGradient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its slope at X is infinite, and finite on the way there."""

    def never(*_given: Any) -> Any:
        raise AssertionError("the program was asked")

    monkeypatch.setattr(TracedGradient, "__call__", never)
    monkeypatch.setattr(TracedGradient, "values", never)
    X = sequences(1, 6)
    got = nucleoscope.integrated_gradients(
        Endless().eval(), X, target=0, baselines="uniform", n_steps=64, method="riemann_middle"
    ).scores
    expected = 1 - 4 * 0.25**0.5  # a position's letters together: 1 at X, and what they were
    torch.testing.assert_close(
        torch.as_tensor(got).sum(), torch.tensor(6 * expected), rtol=0.1, atol=0
    )
    assert not taken


def test_many_points_under_inference_mode(taken: list[TracedGradient]) -> None:
    model, X = build("bpnet").eval(), sequences(2, ZOO["bpnet"][1])
    expected = saliency(model, X, target=0)
    taken.clear()
    other = build("bpnet").eval()
    other.load_state_dict(model.state_dict())
    with torch.inference_mode():
        got = saliency(other, X, target=0)
    assert taken
    torch.testing.assert_close(got, expected)


def test_a_program_that_differs_is_refused() -> None:
    model, X = build("bpnet").eval(), on_a_path(2, ZOO["bpnet"][1], torch.float32)
    program = Program(trace(model, X, ()), torch.float32, X.device)
    own = by_autograd(model, X)[1]
    TracedGradient(program, some_numbers).check(X, (), own)
    with pytest.raises(Disagreement, match=r"off by .* from the model's own"):
        TracedGradient(program, lambda y: some_numbers(y) * 1.2).check(X, (), own)


@pytest.mark.parametrize("cores", [1, 2, 3])
def test_parts_of_a_batch_are_the_batch(cores: int, threads: Any) -> None:
    threads(cores)
    model, X = build("basset").eval(), on_a_path(11, ZOO["basset"][1], torch.float32)
    program = Program(trace(model, X, ()), torch.float32, X.device)
    program._abreast = 1
    values, gradients = program.gradient(X, read=some_numbers)
    expected = by_autograd(model.double(), X.double())
    assert gradients.shape == (11, 3, *X.shape[1:])
    for got, wanted in zip((values, gradients), expected, strict=True):
        allowed = 1e-4 * float(wanted.abs().max())
        torch.testing.assert_close(got.double(), wanted, rtol=0, atol=allowed)
