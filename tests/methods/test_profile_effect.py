"""Variants at base resolution: whole outputs of both sequences, subtracted and cut, are the definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nucleoscope
from nucleoscope.engine.near import NotNear


class Residual(nn.Module):
    """SpliceAI's parts: dilations, a skip that is cut, residuals, softmax: [N, 4, L] -> [N, 3, L - 2 cut]."""

    def __init__(self, cut: int = 11) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv1d(4, 6, 1)
        self.convs = nn.ModuleList(
            nn.Conv1d(6, 6, k, padding=k // 2 * d, dilation=d) for k, d in ((3, 1), (5, 2), (3, 7))
        )
        self.skip, self.last, self.cut = nn.Conv1d(6, 6, 1), nn.Conv1d(6, 3, 1), cut

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        skip = self.skip(x)
        for conv in self.convs:
            x = x + F.relu(conv(x))
        end = x.shape[2] - self.cut
        return F.softmax(self.last(skip + x)[:, :, self.cut : end], 1)


class Turned(nn.Module):
    """The same with its channels last on both sides."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Residual()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x.mT).mT
        return out


L, AROUND = 83, 9


def given(count: int = 17, seed: int = 0) -> tuple[Tensor, dict[str, Any]]:
    random = np.random.default_rng(seed)
    letters = random.integers(0, 4, (3, L))
    sequence, position = random.integers(3, size=count), random.integers(L, size=count)
    position[:3] = [0, L - 1, L // 2][:count]
    wide = np.minimum(random.integers(1, 5, size=count), L - position)
    ref = [
        "".join("ACGT"[i] for i in letters[n, p : p + w])
        for n, p, w in zip(sequence, position, wide, strict=True)
    ]
    alt = ["".join("ACGT"["ACGT".index(c) - 1] for c in each) for each in ref]
    X = F.one_hot(torch.from_numpy(letters), 4).mT.float().contiguous()
    return X, {"sequence": sequence, "position": position, "ref": ref, "alt": alt}


def defined(
    model: nn.Module, X: Tensor, asked: dict[str, Any], around: int
) -> tuple[Tensor, Tensor]:
    """[M, 3, W] before and after, NaN beyond the output's ends."""
    model = model.double()
    with torch.no_grad():
        cut = (X.shape[2] - model(X.double()).shape[2]) // 2
        found = []
        for n, p, alt in zip(asked["sequence"], asked["position"], asked["alt"], strict=True):
            edited = X[n].clone()
            for at, letter in enumerate(alt):
                edited[:, p + at] = torch.eye(4)["ACGT".index(letter)]
            both = F.pad(model(torch.stack([X[n], edited]).double()), (L, L), value=torch.nan)
            first = p - around - cut + L
            found.append(both[:, :, first : first + 2 * around + 1])
    model.float()
    before, after = torch.stack(found, 1)
    return before, after


@pytest.mark.parametrize("around", [0, AROUND, 40])
def test_changes_near_variants_are_the_definition(around: int) -> None:
    model = Residual().eval()
    X, asked = given()
    found = nucleoscope.profile_effect(model, X, **asked, around=around, target=[2, 1])
    before, after = (each[:, [2, 1]] for each in defined(model, X, asked, around))
    assert found.axes == ("variant", "target", "position")
    assert found.changes.shape == (17, 2, 2 * around + 1)
    torch.testing.assert_close(found.before.double(), before, rtol=1e-5, atol=1e-6, equal_nan=True)
    wanted = after - before
    assert torch.equal(found.changes.isnan(), wanted.isnan())
    worst = (found.changes - wanted).nan_to_num().abs().max()
    assert worst < 2e-6 * wanted.nan_to_num().abs().max()
    assert len(found.checks) == 2
    assert found.facts["reads"] == (-around - 12, around + 13)


def test_channels_last_one_target_and_memory() -> None:
    X, asked = given(5, 1)
    one = nucleoscope.profile_effect(Residual().eval(), X, **asked, around=AROUND, target=1)
    last = nucleoscope.profile_effect(
        Turned().eval(), X.mT.contiguous(), **asked, around=AROUND, target=(slice(None), 1), layout="NLC",
        memory=1 << 20, verify=0,
    )  # fmt: skip
    assert one.axes == ("variant", "position")
    assert last.checks == ()
    torch.testing.assert_close(one.changes, last.changes, rtol=1e-4, atol=1e-7, equal_nan=True)


def test_only_what_is_looked_at_is_made() -> None:
    """A far layer's window is no wider than what the outputs near the site read."""
    from dataclasses import replace

    from nucleoscope.engine.near import Near
    from nucleoscope.engine.prepare import ask, forward, make_plan
    from nucleoscope.engine.read import Read

    X, _ = given()
    asked = ask(
        Residual().eval(), X, None, start=0, end=None, layout="NCL", alphabet="ACGT", precision="fp32",
        memory=None, device=None,
    )  # fmt: skip
    held = forward(asked, Read(1))
    plan = make_plan(asked, held)
    near = make_plan(replace(asked, near=Near((1,), 2, 11)), held)
    site = np.array([L // 2])
    widths, all_of = ({n: r.width for n, r in p.rows(site).items()} for p in (near, plan))
    last = near.order[-1]
    assert (widths[last], all_of[last]) == (5, 25)
    assert all(widths[name] <= all_of[name] for name in widths)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"around": -1}, "a number of bases"),
        ({"around": True}, "a number of bases"),
        ({"target": (1, 3)}, "one channel at all 61 positions"),
        ({"target": None}, "one channel at all 61 positions"),
        ({"alt": ["AC"]}, "unlike lengths"),
        ({"position": [L]}, "sequences have the positions"),
        ({"verify": -1}, "verify"),
    ],
)
def test_what_cannot_be_meant(changed: dict[str, Any], message: str) -> None:
    X, asked = given(1)
    with pytest.raises((ValueError, IndexError), match=message):
        nucleoscope.profile_effect(
            Residual().eval(), X, **({**asked, "around": 3, "target": 1} | changed)
        )


@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential(nn.Conv1d(4, 3, 3), nn.MaxPool1d(2)),
        nn.Sequential(nn.Conv1d(4, 3, 4, stride=2), nn.ReLU(), nn.Upsample(scale_factor=2)),
    ],
)
def test_models_in_steps_are_refused(net: nn.Module) -> None:
    X, asked = given(1)
    with pytest.raises(NotNear, match="does not go position by position"):
        nucleoscope.profile_effect(net.eval(), X, **asked, around=3, target=1)


def test_a_seam_is_refused() -> None:
    class Gated(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * x.mean(2, keepdim=True).sigmoid()

    X, asked = given(1)
    with pytest.raises(NotNear, match="locality ends before the output"):
        nucleoscope.profile_effect(Gated().eval(), X, **asked, around=3, target=1)
