"""Attributions of every input in one call, against autograd and against what they add up to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nucleoscope import modal_attributions
from nucleoscope.models import EpiBERT
from nucleoscope.models.catalog import example
from tests.methods.test_tracks import BESIDE, TRACK, Modal, X


class Smooth(Modal):
    """The same without kinks."""

    def forward(self, x: Tensor, track: Tensor, beside: Tensor) -> Tensor:
        h = F.avg_pool1d(torch.tanh(self.letters(x)), 3) + self.track(track)
        made: Tensor = self.out(torch.tanh(h + self.beside(beside)[:, :, None]))
        return made


ARGS = (TRACK, BESIDE)
SLOPE = {"method": "input_x_gradient"}
ASK: dict[str, Any] = {"precision": "fp64", "target": 1}


def test_paths_are_their_definition() -> None:
    net = Smooth()
    starts = (torch.full_like(X, 0.25), torch.full_like(TRACK, 0.5), torch.zeros_like(BESIDE))
    got = modal_attributions(net, X, ARGS, args_baselines=(0.5, 0.0), n_steps=8, **ASK)
    nodes, weights = np.polynomial.legendre.leggauss(8)
    slopes = [torch.zeros_like(t) for t in (X, *ARGS)]
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        at = [
            (b + node * (x - b)).requires_grad_() for x, b in zip((X, *ARGS), starts, strict=True)
        ]
        of = torch.autograd.grad(net(*at)[:, 1].mean(1).sum(), at)
        slopes = [s + weight * g for s, g in zip(slopes, of, strict=True)]
    for mine, score, slope, x, b in zip(
        got.slopes, got.scores, slopes, (X, *ARGS), starts, strict=True
    ):
        torch.testing.assert_close(mine, slope)
        torch.testing.assert_close(score, slope * (x - b))
    assert got.facts["rule"] == "gauss_legendre"


@pytest.mark.parametrize("make", [Smooth, Modal])
def test_all_inputs_add_up(make: type[nn.Module]) -> None:
    net = make()
    got = modal_attributions(net, X, ARGS, n_steps=512, **ASK | {"target": [0, (1, 3)]})
    assert [tuple(s.shape) for s in got.scores] == [(2, 2, 4, 33), (2, 2, 2, 11), (2, 2, 2)]
    assert got.gap is not None
    assert got.baseline is not None
    total = sum(s.flatten(2).sum(2) for s in got.scores)
    with torch.no_grad():
        ends = [
            net(x, t, b)
            for x, t, b in ((X, *ARGS), (torch.full_like(X, 0.25), 0 * TRACK, 0 * BESIDE))
        ]
    want = torch.stack([(ends[0] - ends[1])[:, 0].mean(1), (ends[0] - ends[1])[:, 1, 3]], 1)
    torch.testing.assert_close(total, want, rtol=2e-2, atol=1e-3)
    torch.testing.assert_close(got.gap, total - want, rtol=1e-6, atol=1e-10)
    assert got.checks[0].passed
    torch.testing.assert_close(got.shares.sum(1), torch.ones(2, dtype=torch.float64))


def test_accessibility_times_its_gradient() -> None:
    net = EpiBERT(small=True).eval()
    x, others = example("EpiBERT", net, 1)
    got = modal_attributions(net, x, others, method="input_x_gradient", target=0)
    at = [t.clone().requires_grad_() for t in (x, *others)]
    slopes = torch.autograd.grad(net(*at)[:, 0].mean(), at)
    torch.testing.assert_close(got.scores[1], others[0] * slopes[1], rtol=1e-3, atol=1e-7)
    centred = slopes[0] - slopes[0].mean(1, keepdim=True)
    torch.testing.assert_close(got.scores[0], x * centred, rtol=1e-3, atol=1e-7)
    assert got.gap is None


@pytest.mark.parametrize("method", ["integrated_gradients", "input_x_gradient"])
def test_several_models_give_their_mean_and_spread(method: str) -> None:
    """As EpiBERT's map is the mean of its folds'."""
    other = Modal()
    with torch.no_grad():
        other.track.weight *= -2.0
    models, ask = [Smooth(), other], ASK | {"method": method, "target": [0, 1]}
    each = [modal_attributions(model, X, ARGS, **ask) for model in models]
    got = modal_attributions(models, X, ARGS, **ask)
    assert got.spread is not None
    for at in range(3):
        scores = torch.stack([one.scores[at] for one in each])
        torch.testing.assert_close(got.scores[at], scores.mean(0))
        torch.testing.assert_close(got.spread[at], scores.std(0))
        slopes = torch.stack([one.slopes[at] for one in each])
        torch.testing.assert_close(got.slopes[at], slopes.mean(0))
    assert got.facts["models"] == 2
    assert got.facts["n_steps"] == each[0].facts["n_steps"]
    torch.testing.assert_close(got.original, (each[0].original + each[1].original) / 2)
    if method == "integrated_gradients":
        assert got.gap is not None
        assert each[0].gap is not None
        assert each[1].gap is not None
        torch.testing.assert_close(got.gap, (each[0].gap + each[1].gap) / 2)
        assert [c.name for c in got.checks] == [f"completeness (model {n} of 2)" for n in (1, 2)]
    else:
        assert got.gap is None
    with pytest.raises(ValueError, match="the list is empty"):
        modal_attributions([], X, ARGS, **ask)


def test_what_is_refused() -> None:
    net = Smooth()
    for bad, error, said in (
        ({"method": "occlusion"}, ValueError, "method='occlusion'"),
        ({"n_steps": 4}, ValueError, "n_steps=4"),
        ({"args_baselines": (0.0,)}, ValueError, "one for each of the 2"),
        ({"args_baselines": (0.0, torch.zeros(1, 3))}, ValueError, r"args_baselines\[1\]: \(1, 3\)"),
        ({"baselines": "mean"}, TypeError, "baselines='mean'"),
        (SLOPE | {"baselines": "zeros"}, ValueError, "baselines: input_x_gradient takes the slope"),
        (SLOPE | {"args_baselines": (0.5, 0.0)}, ValueError, "args_baselines: input_x_gradient"),
        (SLOPE | {"n_steps": 64}, ValueError, "n_steps: input_x_gradient"),
        ({"baselines": X[:, None].repeat(1, 2, 1, 1)}, ValueError, "2 for each sequence; a path has"),
    ):  # fmt: skip
        with pytest.raises(error, match=said):
            modal_attributions(net, X, ARGS, **ASK | bad)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"args\[1\]: it holds torch.int64"):
        modal_attributions(net, X, (TRACK, BESIDE.long()), **ASK)


def test_completeness_is_held_of_each_sequence_and_target() -> None:
    """A target of small changes with a kink that 8 nodes cannot place, beside a large linear one."""

    class Kinked(Modal):
        def forward(self, x: Tensor, track: Tensor, beside: Tensor) -> Tensor:
            bent = torch.relu(40 * track[:, 0, 0] - 37).clamp(max=0.5)
            return torch.stack([1e4 * track.sum((1, 2)), bent], 1) + 0 * (x.sum() + beside.sum())

    track = TRACK.clone()
    track[0, 0, 0], track[1, 0, 0] = 0.1, 1.0
    got = modal_attributions(Kinked(), X, (track, BESIDE), n_steps=8, **ASK | {"target": [0, 1]})
    assert got.gap is not None
    assert got.baseline is not None
    (check,) = [each for each in got.checks if each.name == "completeness"]
    assert not check.passed
    share = got.gap[1, 1].abs() / (got.original - got.baseline)[1, 1]
    assert f"({share:.1e} of it)" in check.detail
    assert "sequence 1, target 1" in check.detail
    assert "1 of 4 differences are 0" in check.detail
    assert modal_attributions(Kinked(), X, (track, BESIDE), **ASK | {"target": 0}).checks[0].passed


class Constant(Modal):
    """Nothing moves it."""

    def forward(self, x: Tensor, track: Tensor, beside: Tensor) -> Tensor:
        return 1.0 + 0 * super().forward(x, track, beside)


@pytest.mark.parametrize("method", ["integrated_gradients", "input_x_gradient"])
def test_a_model_that_nothing_moves_is_said_to_be(method: str) -> None:
    got = modal_attributions(Constant(), X, ARGS, method=method, **ASK)
    assert got.shares.isnan().all()
    assert not any(check.passed for check in got.checks)
    assert "2 of 2 pairs of sequence and target" in got.checks[-1].detail
    if method == "integrated_gradients":
        assert got.checks[0].detail.startswith("2 of 2 differences are 0")
