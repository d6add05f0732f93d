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
    got = modal_attributions(net, X, ARGS, n_steps=64, **ASK | {"target": [0, (1, 3)]})
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


def test_what_is_refused() -> None:
    net = Smooth()
    for bad, error, said in (
        ({"method": "occlusion"}, ValueError, "method='occlusion'"),
        ({"n_steps": 4}, ValueError, "n_steps=4"),
        ({"args_baselines": (0.0,)}, ValueError, "one for each of the 2"),
        ({"args_baselines": (0.0, torch.zeros(1, 3))}, ValueError, r"args_baselines\[1\]: \(1, 3\)"),
        ({"baselines": "mean"}, TypeError, "baselines='mean'"),
        ({"baselines": X[:, None].repeat(1, 2, 1, 1)}, ValueError, "2 for each sequence; a path has"),
    ):  # fmt: skip
        with pytest.raises(error, match=said):
            modal_attributions(net, X, ARGS, **ASK | bad)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"args\[1\]: it holds torch.int64"):
        modal_attributions(net, X, (TRACK, BESIDE.long()), **ASK)
