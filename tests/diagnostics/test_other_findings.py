"""Precision, loss gaps and attention: closed forms, intervals that cover, bad input."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.constructed import Attending, Head, Pooled, letters
from nucleoscope.diagnostics import (
    additive_model,
    attention_conditioning,
    loss_gap,
    precision,
)


def test_precision_follows_the_offset() -> None:
    found = [
        precision(Head(1.0, nn.Identity(), offset).eval(), letters(2)).values
        for offset in (0.0, 1e4, 1e7)
    ]
    errors = [each["own"]["median_error"] for each in found]
    assert errors[0] < 1e-4 < errors[1] < errors[2]
    assert all(each["deltas"]["median_error"] < 1e-5 for each in found)


def test_a_float64_model_is_its_own_judge() -> None:
    found = precision(Pooled(4).eval().double(), letters(1))
    assert found.values["own"] == {"wrong_sign": 0.0, "median_error": 0.0}
    assert found.values["bf16"]["median_error"] > 1e-4


def test_a_model_that_does_not_listen() -> None:
    model = Head(0.0, nn.Identity()).eval()
    found = precision(model, letters(1))
    assert not found.applies
    assert not found.fires
    assert str(found).startswith("n/a")


def test_bad_precision_input() -> None:
    with pytest.raises(ValueError, match="n=0"):
        precision(Pooled().eval(), letters(1), n=0)
    with pytest.raises(ValueError, match="no known letter"):
        precision(Pooled().eval(), torch.zeros(1, 4, 60))


class Constant(nn.Module):
    """One number for every sequence, or another."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.value + 0 * x.sum((1, 2))[:, None]


def test_gaps_by_closed_form() -> None:
    labels = torch.tensor([0.0, 1.0] * 6)
    found = loss_gap(Constant(0.5).eval(), letters(12), labels, Constant(1.0).eval())
    assert found.values["unconstrained"] == pytest.approx(0.25)
    assert found.values["transparent"] == pytest.approx(0.5)
    assert found.values["null"] == pytest.approx(0.25)
    assert found.told()["values"]["closed"] is None  # there is nothing to close
    ours = loss_gap(
        Constant(0.0).eval(), letters(12), labels, Constant(0.0).eval(), loss="logistic"
    )
    assert ours.values["transparent"] == pytest.approx(0.6931, abs=1e-4)
    assert (ours.values["low"], ours.values["high"], ours.fires) == (0.0, 0.0, False)


def test_the_interval_covers_and_is_paired() -> None:
    """Of gaps that are 0 on average, 19 in 20 intervals hold 0; a loss that all share does not widen them."""
    inside, width = 0, []
    for seed in range(40):
        torch.manual_seed(seed)
        X, labels = letters(40), 100 * torch.randn(40)
        noise = torch.randn(40)

        def loss(
            made: torch.Tensor, labels: torch.Tensor, noise: torch.Tensor = noise
        ) -> torch.Tensor:
            return labels.square() + made.mean() * noise.double()

        values = loss_gap(
            Constant(0.0).eval(), X, labels, Constant(1.0).eval(), loss=loss, n=500
        ).values
        inside += values["low"] <= 0 <= values["high"]
        width.append(values["high"] - values["low"])
    assert 33 <= inside <= 40
    assert max(width) < 2  # of losses near 10,000


@pytest.mark.parametrize("count", [20, 200])  # fewer and more sequences than weights
def test_an_additive_model_is_the_ridge_solution(count: int) -> None:
    X = letters(count).double()
    labels = torch.randn(count, generator=torch.Generator().manual_seed(1)).double()
    made = additive_model(X, labels, ridge=0.3)
    weight, bias = made.weight.double().requires_grad_(), made.bias.double().requires_grad_()
    left = (X * weight).sum((1, 2)) + bias - labels
    loss = left.square().sum() + 0.3 * weight.square().sum()
    for slope in torch.autograd.grad(loss, (weight, bias)):
        assert slope.abs().max() < 1e-3 * count
    assert additive_model(X, labels, ridge=1e9)(X).std() < 1e-3


def test_an_additive_model_closes_an_additive_gap() -> None:
    X = letters(300)
    weight = torch.randn(4, X.shape[2], generator=torch.Generator().manual_seed(2))
    labels = (X * weight).sum((1, 2))
    made = additive_model(X[:200], labels[:200], ridge=1e-3)
    found = loss_gap(Constant(float(labels.mean())).eval(), X[200:], labels[200:], made)
    assert found.values["transparent"] < 1e-3 * found.values["unconstrained"]
    for wrong in ({"labels": labels}, {"labels": labels[:200] / 0}, {"ridge": 0.0}):
        with pytest.raises(ValueError, match=r"labels: a finite|ridge=0\.0"):
            additive_model(**({"X": X[:200], "labels": labels[:200]} | wrong))


@pytest.mark.parametrize("count", [30, 400])  # fewer and more sequences than weights
def test_an_additive_logistic_model_is_the_least_loss(count: int) -> None:
    X = letters(count).double()
    labels = torch.rand(count, generator=torch.Generator().manual_seed(1)).double().round()
    made = additive_model(X, labels, loss="logistic", ridge=0.3)
    weight, bias = made.weight.double().requires_grad_(), made.bias.double().requires_grad_()
    said = (X * weight).sum((1, 2)) + bias
    loss = nn.functional.binary_cross_entropy_with_logits(said, labels, reduction="sum")
    for slope in torch.autograd.grad(loss + 0.3 * weight.square().sum(), (weight, bias)):
        assert slope.abs().max() < 1e-5 * count
    flat = additive_model(X, labels, loss="logistic", ridge=1e9)(X.float())
    assert float(flat.mean()) == pytest.approx(float(torch.logit(labels.mean())), abs=1e-4)
    assert flat.std() < 1e-3
    sure = additive_model(X, (X[:, 0, 3] > 0), loss="logistic", ridge=1e-6)(X.float())[:, 0]
    assert ((sure > 0) == (X[:, 0, 3] > 0)).all()  # two classes without an overlap


def test_an_additive_truth_in_logits_does_not_fire() -> None:
    X = letters(1200)
    weight = torch.randn(4, X.shape[2], generator=torch.Generator().manual_seed(2)) / 2

    class True_(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x * weight).sum((1, 2))[:, None]

    chance = torch.sigmoid(
        True_()(X)[:, 0]
    )  # labels that are their own chance: no noise but the fit's
    made = additive_model(X[:900], chance[:900], loss="logistic", ridge=1e-3)
    found = loss_gap(True_().eval(), X[900:], chance[900:], made, loss="logistic")
    assert found.values["gap"] < 1e-3
    assert found.values["closed"] > 0.99
    wrong = additive_model(X[:900], chance[:900])
    with pytest.raises(ValueError, match=r"fitted for loss='squared'.*loss='logistic'\)"):
        loss_gap(True_().eval(), X[900:], chance[900:], wrong, loss="logistic")
    with pytest.raises(ValueError, match="fitted for loss='logistic'"):
        loss_gap(True_().eval(), X[900:], chance[900:], made)
    loss_gap(True_().eval(), X[900:], chance[900:], made, loss=lambda a, b: (a - b).abs())


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"labels": [0.0, 1.0] * 6}, TypeError, "got list; use torch.as_tensor"),
        ({"labels": None}, TypeError, "got NoneType"),
        ({"labels": torch.zeros(12).numpy()}, TypeError, "got ndarray"),
        ({"labels": torch.zeros(12, dtype=torch.cfloat)}, TypeError, "real numbers"),
        ({"loss": "hinge"}, ValueError, "loss='hinge': use 'squared' or 'logistic'"),
        ({"loss": "logistic", "labels": torch.arange(12)}, ValueError, "from 0 to 11"),
        ({"loss": "logistic", "labels": torch.ones(12)}, ValueError, "of one class"),
        ({"ridge": "1"}, TypeError, "ridge='1'"),
        ({"ridge": float("nan")}, ValueError, "ridge=nan"),
        ({"X": letters(12).numpy()}, TypeError, "X"),
    ],
)
def test_bad_input_of_an_additive_model(
    wrong: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        additive_model(**({"X": letters(12), "labels": torch.tensor([0.0, 1.0] * 6)} | wrong))


def test_bad_gap_input() -> None:
    model, X, labels = Pooled().eval(), letters(9), torch.zeros(9)
    with pytest.raises(ValueError, match="one number a sequence"):
        loss_gap(model, X, labels[:3], model)
    with pytest.raises(ValueError, match="needs 8"):
        loss_gap(model, X[:3], labels[:3], model)
    with pytest.raises(ValueError, match="labels: they hold NaN"):
        loss_gap(model, X, labels / 0, model)
    with pytest.raises(ValueError, match="loss='hinge'"):
        loss_gap(model, X, labels, model, loss="hinge")
    with pytest.raises(ValueError, match="level"):
        loss_gap(model, X, labels, model, level=1.0)
    with pytest.raises(ValueError, match="finite number a sequence"):
        loss_gap(model, X, labels, model, loss=lambda a, b: (a - b).mean())
    with pytest.raises(ValueError, match="n=3"):
        loss_gap(model, X, labels, model, n=3)


def test_attention_where_there_is_none() -> None:
    found = attention_conditioning(Pooled().eval(), letters(1))
    assert not found.applies
    assert "no attention" in found.sentence


def test_attention_numbers_are_the_rollouts() -> None:
    found = attention_conditioning(Attending(16).eval(), letters(2))
    assert found.values["tokens"] == 15
    assert 0.99 < found.values["identifiable"] <= 1.0
    with pytest.raises(IndexError, match="rows"):
        attention_conditioning(Attending(16).eval(), letters(1), rows=[99])


def test_what_float64_rounds_is_no_effect() -> None:
    """Each letter of a position counts alike: answers differ by the order in which they are added up."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4 * 60, 1)).eval()
    with torch.no_grad():
        model[1].weight.copy_(torch.rand(60).repeat(4)[None])
    found = precision(model, letters(4))
    assert not found.applies
    assert not found.fires
