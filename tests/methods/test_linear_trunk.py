"""A linear trunk against its definition, what it says of its own error, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nucleoscope
from nucleoscope import LinearTrunk, saturation_mutagenesis
from nucleoscope.methods.edits.linear_trunk import conformal, measured
from nucleoscope.naive.methods.linear_trunk import linear_trunk
from nucleoscope.naive.methods.saturation_mutagenesis import saturation_mutagenesis as naive
from nucleoscope.result import Attribution
from tests.parts import sequences


class Tower(nn.Module):
    """Two convolutions; both what is pooled and what was there before it are read (a skip)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(4, 6, 5, padding=2), nn.Conv1d(6, 8, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        skip = F.gelu(self.second(F.max_pool1d(F.relu(self.first(x)), 2)))
        return F.max_pool1d(skip, 2), skip


class Trunk(nn.Module):
    """Attention over the length, and the skip beside it: [N, 3, L / 2]."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.q, self.v, self.out = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.scale = scale

    def forward(self, pooled: Tensor, skip: Tensor) -> Tensor:
        h = pooled.transpose(1, 2)
        q = self.q(h)
        h = h + self.scale * F.scaled_dot_product_attention(q, q, self.v(h))
        up = F.interpolate(h.transpose(1, 2), scale_factor=2)
        return self.out((up + self.scale * skip).transpose(1, 2)).transpose(1, 2)


class Whole(nn.Module):
    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.tower, self.trunk = Tower(), Trunk(scale)
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = F.softplus(self.trunk(*self.tower(x)))
        return made


X = sequences(2, 36).double()


def read(output: Tensor) -> Tensor:
    return torch.stack([output[:, 0].mean(1), output[:, 1, 4]], 1)


ASK = {"target": [0, (1, 4)], "hypothetical": True, "center": "none", "precision": "fp64"}


@pytest.fixture(scope="module")
def net() -> Whole:
    return Whole()


def test_it_is_the_towers_change_times_the_trunks_gradient(net: Whole) -> None:
    got = saturation_mutagenesis(net, X, start=3, end=30, trunk=LinearTrunk(0.0, 2), **ASK)  # type: ignore[arg-type]
    for n in range(2):
        own = linear_trunk(
            net.tower, lambda *h: F.softplus(net.trunk(*h)), X[n : n + 1], range(3, 30), read
        )
        assert got.exact is not None
        there = ~got.exact[n]
        assert 0 < int(there.sum()) < 27
        torch.testing.assert_close(
            got.scores[n][..., there], own[0][..., there], rtol=1e-9, atol=1e-12
        )


def test_marked_sites_are_exact(net: Whole) -> None:
    got = saturation_mutagenesis(net, X, trunk=LinearTrunk(0.2, 9), **ASK)  # type: ignore[arg-type]
    want = naive(net, X, sites=range(36), read=read)
    assert got.exact is not None
    for n in range(2):
        there = got.exact[n]
        torch.testing.assert_close(
            got.scores[n][..., there], want[n][..., there], rtol=1e-9, atol=1e-12
        )
    size = want.abs().amax(2)
    size = (size / size.amax((0, 2), keepdim=True)).amax(1)
    assert got.exact.flatten()[size.argmax()]  # the strongest site of all was rerun
    assert 14 < int(got.exact.sum()) <= 15 + 9
    off = (got.scores - want).abs().amax(2)
    assert float(off.max()) > 1e-6  # the others are approximations, and the result says so
    assert "APPROXIMATE" in repr(got)
    facts = got.facts["trunk"]
    assert facts["approximation"] == "linear"
    assert {"r", "slope", "p90_error", "certificate"} <= set(facts["targets"][0])
    assert facts["targets"][0]["r"] > 0.9


def test_float32_takes_the_same_path(net: Whole) -> None:
    how = LinearTrunk(0.1, 6, seed=3)
    ask = {**ASK, "precision": "fp32"}
    got = saturation_mutagenesis(Whole().float(), X.float(), trunk=how, **ask)  # type: ignore[arg-type]
    want = saturation_mutagenesis(net, X, trunk=how, **ASK)  # type: ignore[arg-type]
    torch.testing.assert_close(got.exact, want.exact)
    torch.testing.assert_close(got.scores.double(), want.scores, rtol=1e-4, atol=2e-6)


def test_the_certificate_covers_what_it_promises() -> None:
    """Over draws of the sample, on average 90 % of the approximate sites are within it."""
    net = Whole(3.0)
    one = {**ASK, "target": 0}
    want = naive(net, X, sites=range(36), read=lambda y: y[:, 0].mean(1, keepdim=True))
    held = []
    for seed in range(12):
        how = LinearTrunk(0.1, 24, seed=seed)
        got = saturation_mutagenesis(net, X, trunk=how, verify=0, **one)  # type: ignore[arg-type]
        assert got.exact is not None
        off = (got.scores - want[:, 0]).abs().amax(1)[~got.exact]
        bound = got.facts["trunk"]["targets"][0]["certificate"]
        held.append(float((off <= bound * (1 + 1e-9)).double().mean()))
    assert np.mean(held) > 0.85


def test_conformal_quantiles() -> None:
    errors = np.arange(1.0, 10.0)  # nine of them
    assert conformal(errors, 0.9) == 9
    assert conformal(errors, 0.5) == 5
    assert conformal(errors[:8], 0.9) == np.inf


def test_gradients_of_values_that_hold_each_other_would_be_told() -> None:
    """An approximation three times too large still correlates; its slope does not pass."""
    exact = np.random.default_rng(0).normal(size=(1, 4, 50))
    every = np.ones((1, 4, 50), dtype=bool)
    sites = np.ones((1, 50), dtype=bool)
    said = measured(3 * exact, exact, every, sites, sites, 0.9)
    assert said["r"] > 0.99
    assert abs(said["slope"] - 1 / 3) < 1e-9
    assert abs(said["p90_error"] - 2) < 1e-9


def test_files_keep_the_marks(net: Whole, tmp_path: Path) -> None:
    got = saturation_mutagenesis(net, X, trunk="linear", target=0, precision="fp64")
    again = Attribution.load(got.save(tmp_path / "screen.npz"))
    assert got.exact is not None
    assert again.exact is not None
    assert torch.equal(got.exact, again.exact)
    exact = saturation_mutagenesis(net, X, target=0, precision="fp64")
    assert exact.exact is None


def test_plans_say_so(net: Whole) -> None:
    said = repr(nucleoscope.plan(net, X, target=0, precision="fp64", trunk="linear"))
    assert "first order" in said


def test_what_it_refuses(net: Whole) -> None:
    local = nn.Sequential(nn.Conv1d(4, 3, 5, padding=2), nn.ReLU()).eval()
    with pytest.raises(ValueError, match="no trunk"):
        saturation_mutagenesis(local, X.float(), trunk="linear")
    with pytest.raises(ValueError, match="trunk='square'"):
        saturation_mutagenesis(net, X, trunk="square")
    with pytest.raises(ValueError, match="one model, one strand"):
        saturation_mutagenesis(net, X, trunk="linear", reverse_complement=True)
    wrong: list[tuple[str, Any]] = [
        ("rerun", 1.5), ("sample", 1), ("level", 1), ("seed", -1), ("seed", "a"),
    ]  # fmt: skip
    for name, bad in wrong:
        with pytest.raises(ValueError, match=name):
            LinearTrunk(**{name: bad})


class Silent(Whole):
    """Channel 2 is the same for every sequence."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * torch.tensor([1, 1, 0])[None, :, None]


def test_a_target_that_nothing_changes_marks_no_site() -> None:
    got = saturation_mutagenesis(
        Silent().float(), X.float(), target=[0, 2], trunk=LinearTrunk(0.2, 9)
    )
    alone = saturation_mutagenesis(
        Silent().float(), X.float(), target=[0], trunk=LinearTrunk(0.2, 9)
    )
    assert got.exact is not None
    torch.testing.assert_close(got.exact, alone.exact)
