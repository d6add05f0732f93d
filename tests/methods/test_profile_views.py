"""Variants at base resolution on both strands, of shifted sequences: the mean of what each view defines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import nucleoscope
from tests.methods.test_profile_effect import AROUND, L, Residual, Turned, given, put

Net = Callable[[Tensor], Tensor]
KINDS = [(1, "ACGTACGTAC"), (9, "T"), (2, "GTA"), (1, "CA"), (25, "G"), (1, "T" * 30), (3, "GA")]
PLACES = [(0, 40), (1, 30), (2, 9), (0, 79), (2, 20), (1, 50), (1, 3)]


def variants() -> tuple[Tensor, dict[str, Any]]:
    """Of one length and of others, some near the ends."""
    X, asked = given(6, 3)
    for (n, at), (ref, alt) in zip(PLACES, KINDS, strict=True):
        letters = "".join("ACGT"[int(i)] for i in X[n].argmax(0)[at : at + ref])
        for name, value in (("sequence", n), ("position", at), ("ref", letters), ("alt", alt)):
            asked[name] = [*asked[name], value]
    return X, asked


def other_strand(net: Net) -> Net:
    """Of its reverse complement, laid out along the first strand."""
    return lambda x: net(x.flip(1, 2)).flip(2)


def moved(net: Net, by: int) -> Net:
    """Of the sequence that much further right, laid out where it was; NaN where it was not seen."""

    def made(x: Tensor) -> Tensor:
        there = F.pad(x, (by, -by))
        return F.pad(net(there), (-by, by), value=torch.nan)

    return made


def defined(
    net: Net, X: Tensor, asked: dict[str, Any], cut: int, around: int
) -> tuple[Tensor, Tensor]:
    """[M, C, W] before, and how that changes."""
    lists = (asked[name] for name in ("sequence", "position", "ref", "alt"))
    rows = [
        _defined(net, X[n], int(at), len(ref), alt, cut, around) for n, at, ref, alt in zip(*lists, strict=True)
    ]  # fmt: skip
    before, after = (torch.stack(each) for each in zip(*rows, strict=True))
    return before, after - before


def _defined(
    net: Net, x: Tensor, at: int, ref: int, alt: str, cut: int, around: int
) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        both = net(torch.stack([x, put(x, at, ref, alt)]))
    before, after = F.pad(both, (cut + L, cut + L), value=torch.nan)
    paired, own, found = min(ref, len(alt)), list[Tensor](), list[Tensor]()
    for offset in range(-around, around + 1):
        p = at + offset + L
        own.append(before[:, p])
        if offset == paired - 1 and len(alt) > ref:
            found.append(after[:, p : p + len(alt) - paired + 1].max(1).values)
        elif offset < paired:
            found.append(after[:, p])
        elif offset < ref:
            found.append(torch.zeros(len(after)))
        else:
            found.append(after[:, p + len(alt) - ref])
    return torch.stack(own, 1), torch.stack(found, 1)


def assert_same(got: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=2e-6, equal_nan=True)


@pytest.mark.parametrize("cut", [0, 11])
@pytest.mark.parametrize("around", [0, AROUND, 40])
def test_both_strands(cut: int, around: int) -> None:
    model, (X, asked) = Residual(cut).eval(), variants()
    got = nucleoscope.profile_effect(
        model,
        X,
        **asked,
        around=around,
        target=[2, 1],
        reverse_complement=True,
        reverse_target=[0, 1],
    )
    first, second = (defined(net, X, asked, cut, around) for net in (model, other_strand(model)))
    for mine, here, there in zip((got.before, got.changes), first, second, strict=True):
        assert_same(mine, (here[:, [2, 1]] + there[:, [0, 1]]) / 2)
    assert got.facts["reverse_complement"]
    assert (got.facts["edits"], got.facts["shifted"]) == (13, 7)
    assert {c.name for c in got.checks} == {"verification", "verification (reverse complement)"}


def test_an_output_that_lies_half_a_base_off() -> None:
    """83 bases and an even number of outputs: of the strands' outputs those are one that mirror each other."""

    class Even(Residual):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x)[:, :, :-1]

    model, (X, asked) = Even(11).eval(), variants()
    got = nucleoscope.profile_effect(
        model, X, **asked, around=AROUND, target=[1], reverse_complement=True
    )
    both = [defined(net, X, asked, 11, AROUND)[1] for net in (model, other_strand(model))]
    wanted = torch.stack(both).mean(0)[:, [1]]
    assert_same(got.changes, wanted)


@pytest.mark.parametrize("strands", [False, True])
def test_shifts(strands: bool) -> None:
    model, (X, asked) = Residual().eval(), variants()
    asked = {name: list(each)[3:9] for name, each in asked.items()}
    got = nucleoscope.profile_effect(
        model, X, **asked, around=3, target=[0, 1, 2], shifts=(-2, 0, 1), reverse_complement=strands
    )
    nets: list[Net] = [moved(model, by) for by in (-2, 0, 1)]
    nets += [moved(other_strand(model), by) for by in (-2, 0, 1)] if strands else []
    wanted = torch.stack([defined(net, X, asked, 11, 3)[1] for net in nets]).mean(0)
    near = got.changes.isnan() | ~wanted.isnan()
    assert near.all()  # what a view does not see is NaN
    assert_same(got.changes, wanted.masked_fill(got.changes.isnan(), torch.nan))
    assert (~got.changes.isnan()).float().mean() > 0.7


def test_channels_last_and_several_models() -> None:
    folds, (X, asked) = [Residual().eval() for _ in range(2)], variants()
    with torch.no_grad():
        folds[1].last.weight *= -1.5
    settings: dict[str, Any] = {
        **asked,
        "around": 4,
        "reverse_complement": True,
        "precision": "fp64",
    }
    each = [nucleoscope.profile_effect(f, X, target=1, **settings) for f in folds]
    got = nucleoscope.profile_effect(folds, X, target=1, **settings)
    assert got.spread is not None
    changes = torch.stack([one.changes for one in each])
    torch.testing.assert_close(got.changes, changes.mean(0), rtol=1e-9, atol=1e-12, equal_nan=True)
    torch.testing.assert_close(got.spread, changes.std(0), rtol=1e-9, atol=1e-12, equal_nan=True)
    last = nucleoscope.profile_effect(
        Turned().eval(), X.mT.contiguous(), target=(slice(None), 1), layout="NLC", **settings
    )
    torch.testing.assert_close(last.changes, each[0].changes, rtol=1e-9, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"reverse_complement": 1}, "True or False"),
        ({"reverse_target": 0}, "no other strand"),
        ({"reverse_complement": True, "reverse_target": [0, 1]}, "it names 2 targets, target 1"),
        ({"shifts": (0, 0)}, "each shift once"),
        ({"shifts": (0, 60)}, "60 moves edits out of the sequence of 83"),
        ({"position": [L], "reverse_complement": True}, r"position\[0\]=83"),
        ({"ref": ["N"], "shifts": (1,)}, r"ref\[0\]"),
    ],
)
def test_what_cannot_be_meant(changed: dict[str, Any], message: str) -> None:
    X, _ = given(1)
    letter = "ACGT"[int(X[0, :, 40].argmax())]
    asked = {
        "sequence": [0],
        "position": [40],
        "ref": [letter],
        "alt": ["A"],
        "around": 3,
        "target": 1,
    }
    with pytest.raises((TypeError, ValueError, IndexError), match=message):
        nucleoscope.profile_effect(Residual().eval(), X, **(asked | changed))  # type: ignore[arg-type]
