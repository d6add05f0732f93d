"""Gradient methods go by the traced program where there is one, and only if it agrees with the model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nucleoscope
from nucleoscope.engine import backward as backward_module
from nucleoscope.engine.program import Program
from nucleoscope.engine.trace import trace
from nucleoscope.engine.traced_gradient import Disagreement, TracedGradient
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


def test_what_cannot_be_traced_goes_by_the_model(taken: list[TracedGradient]) -> None:
    X = sequences(2, 20)
    assert nucleoscope.saliency(NotExported().eval(), X, target=0).scores.shape == (2, 4, 20)
    assert not taken


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
