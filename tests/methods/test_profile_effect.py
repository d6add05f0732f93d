"""Variants at base resolution: whole outputs of both sequences, subtracted and cut, are the definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nucleoscope
from nucleoscope.engine.planning.near import NotNear


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


def test_several_models_give_their_mean_and_spread() -> None:
    folds = [Residual().eval() for _ in range(2)]
    with torch.no_grad():
        folds[1].last.weight *= -1.5
    X, asked = given(5)
    each = torch.stack(
        [after - before for before, after in (defined(f, X, asked, 4) for f in folds)]
    )
    got = nucleoscope.profile_effect(
        folds, X, **asked, around=4, target=[0, 1, 2], precision="fp64"
    )
    assert got.spread is not None
    torch.testing.assert_close(got.changes, each.mean(0), rtol=1e-9, atol=1e-12, equal_nan=True)
    torch.testing.assert_close(got.spread, each.std(0), rtol=1e-9, atol=1e-12, equal_nan=True)
    assert (got.facts["models"], got.facts["around"], got.facts["edits"]) == (2, 4, 5)
    assert {c.name for c in got.checks} == {f"verification (model {n} of 2)" for n in (1, 2)}


def test_only_what_is_looked_at_is_made() -> None:
    """A far layer's window is no wider than what the outputs near the site read."""
    from dataclasses import replace

    from nucleoscope.engine.answers.read import Read
    from nucleoscope.engine.planning.near import Near
    from nucleoscope.engine.prepare import ask, forward, make_plan

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


def put(x: Tensor, at: int, ref: int, alt: str) -> Tensor:
    """The alternative at the length of x: its right end trimmed, or filled with N."""
    letters = torch.eye(4)["ACGT".index(alt[0])][:, None]
    for letter in alt[1:]:
        letters = torch.cat([letters, torch.eye(4)["ACGT".index(letter)][:, None]], 1)
    joined = torch.cat([x[:, :at], letters, x[:, at + ref :]], 1)
    return F.pad(joined, (0, max(L - joined.shape[1], 0)))[:, :L]


@pytest.mark.parametrize("layout", ["NCL", "NLC"])
def test_alleles_of_unlike_lengths_are_laid_beside_the_original(layout: str) -> None:
    """Zero where deleted, the largest where put in, moved behind; NaN beyond the ends."""
    X, asked = given(4, 3)
    kinds = [(1, "ACGTACGTAC"), (9, "T"), (2, "GTA"), (1, "CA"), (25, "G"), (1, "T" * 30)]
    places = [(0, 40), (1, 30), (2, 9), (0, 80), (2, 20), (1, 50)]
    for (n, at), (ref, alt) in zip(places, kinds, strict=True):
        letters = "".join("ACGT"[int(i)] for i in X[n].argmax(0)[at : at + ref])
        for name, value in (("sequence", n), ("position", at), ("ref", letters), ("alt", alt)):
            asked[name] = [*asked[name], value]
    net = Residual().eval() if layout == "NCL" else Turned().eval()
    target = [2, 1] if layout == "NCL" else [(slice(None), 2), (slice(None), 1)]
    found = nucleoscope.profile_effect(
        net, X if layout == "NCL" else X.mT.contiguous(), **asked, around=AROUND, target=target, layout=layout
    )  # fmt: skip
    assert found.facts["shifted"] == 6
    assert len(found.checks) == 3
    for row, (n, at) in enumerate(places, start=4):
        ref, alt = kinds[row - 4]
        model = Residual().eval()
        with torch.no_grad():
            both = model(torch.stack([X[n], put(X[n], at, ref, alt)]))[:, [2, 1]]
        before, after = F.pad(both, (11 + L, 11 + L), value=torch.nan)
        for offset in range(-AROUND, AROUND + 1):
            p = at + offset + L
            paired = min(ref, len(alt))
            if offset == paired - 1 and len(alt) > ref:
                wanted = after[:, p : p + len(alt) - paired + 1].max(1).values
            elif offset < paired:
                wanted = after[:, p]
            elif offset < ref:
                wanted = torch.zeros(2)
            else:
                wanted = after[:, p + len(alt) - ref]
            torch.testing.assert_close(
                found.changes[row, :, offset + AROUND], wanted - before[:, p], rtol=1e-4, atol=1e-6,
                equal_nan=True,
            )  # fmt: skip


def test_only_alleles_of_unlike_lengths() -> None:
    X, _ = given(1)
    letter = "ACGT"[int(X[0, :, 40].argmax())]
    found = nucleoscope.profile_effect(
        Residual().eval(), X, [0], [40], [letter], [letter + "ACG"], around=2, target=1
    )
    assert found.changes.shape == (1, 5)
    assert found.changes.abs().max() > 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"around": -1}, "a number of bases"),
        ({"around": True}, "a number of bases"),
        ({"target": (1, 3)}, "one channel at all 61 positions"),
        ({"target": None}, "one channel at all 61 positions"),
        ({"alt": [""]}, "give both the base before"),
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
