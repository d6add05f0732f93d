"""Gauge: shares that are known, what does not move with the way a function is written, bad input."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import nucleoscope
from benchmarks.constructed import Head, Pooled, centred, letters, regauged, rescaled
from nucleoscope.diagnostics import gauge


@pytest.fixture
def model() -> Pooled:
    return centred(Pooled()).eval()


def test_answers_do_not_move_and_the_finding_says_what_does(model: Pooled) -> None:
    X, before = letters(3), copy.deepcopy(model).double()
    for change in (lambda m: regauged(m, 2.0), rescaled):
        after = change(copy.deepcopy(before))
        torch.testing.assert_close(after(X.double()), before(X.double()), rtol=1e-9, atol=1e-9)
    moved = gauge(regauged(copy.deepcopy(model), 2.0), X)
    assert moved.values["layers"][0]["gauge_share"] > 0.2
    assert gauge(model, X).values["layers"][0]["gauge_share"] < 1e-12


def test_the_share_of_known_gradients() -> None:
    linear = nn.Sequential(nn.Flatten(), nn.Linear(4 * 60, 1, bias=False)).eval()
    with torch.no_grad():
        weight = torch.tensor([1.0, 0, 0, 0])  # a quarter of its energy is the mean
        linear[1].weight.copy_(weight[:, None].expand(4, 60).reshape(1, -1))
    found = gauge(linear, letters(2))
    assert found.values["off_simplex"] == pytest.approx(0.25)
    assert found.values["layers"] == []
    assert "says" not in found.sentence
    with torch.no_grad():
        linear[1].weight.fill_(1.0)
    found = gauge(linear, letters(2))
    assert found.values["off_simplex"] == pytest.approx(1.0)
    assert found.values["off_simplex_positions"] == 1.0
    assert found.fires


def test_centred_scores_do_not_show_it(model: Pooled) -> None:
    X, off = letters(2), regauged(model, 3.0)
    raw = nucleoscope.saliency(off, X, center="none", hypothetical=True)
    fixed = nucleoscope.saliency(off, X, center="mean")
    assert gauge(off, X, raw).fires
    assert not gauge(off, X, fixed).fires
    assert "center the scores" in gauge(off, X, raw).sentence
    assert "none of it is in them" in gauge(off, X, fixed).sentence


def test_bad_input(model: Pooled) -> None:
    with pytest.raises(TypeError, match=r"torch\.nn\.Module"):
        gauge(lambda x: x, letters(1))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="training mode"):
        gauge(Pooled(), letters(1))
    with pytest.raises(ValueError, match="one target a question"):
        gauge(model, letters(1), target=[0, 1])
    with pytest.raises(TypeError, match="func"):
        gauge(model, letters(1), func=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="4 letters"):
        gauge(model, letters(1).transpose(1, 2))
    with pytest.raises(ValueError, match="NaN"):
        gauge(model, letters(1).fill_(torch.nan))
    model.head.weight.data.fill_(torch.nan)
    with pytest.raises(ValueError, match=r"head\.weight"):
        gauge(model, letters(1))
    with pytest.raises(ValueError, match="has no gradient"):
        gauge(nn.Sequential(Head(1.0, nn.Identity()), Detached()).eval(), letters(1))


class Detached(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.detach()


class Written(nn.Module):
    """A ReLU that writes over what a convolution made, and a convolution that leads nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.idle = nn.Conv1d(4, 8, 5), nn.Conv1d(4, 8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.idle(x)
        return self.conv(x).relu_().mean((1, 2))[:, None]


@pytest.mark.parametrize("learns", [True, False])
def test_filters_that_are_written_over_or_lead_nowhere(learns: bool) -> None:
    model = Written().eval().requires_grad_(learns)
    rows = gauge(model, letters(2)).values["layers"]
    assert {row["layer"] for row in rows} == {"conv", "idle"}
    assert all(row["filters"] == 8 for row in rows)


def test_a_gradient_of_nothing_is_a_share_of_0() -> None:
    found = gauge(nn.Sequential(Head(1.0, nn.ReLU(), -1e4)).eval(), letters(2))
    assert found.values["off_simplex"] == 0
    assert "nan" not in found.sentence
