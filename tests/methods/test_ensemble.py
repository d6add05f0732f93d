"""Several models, both strands and shifts: the mean of plain answers, mapped back, with their spread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nucleoscope
from nucleoscope.alphabet import complement
from nucleoscope.methods.ensemble import View
from tests.parts import Net, conv, sequences
from tests.truth import truth

X = sequences(2, 21)
run = nucleoscope.saturation_mutagenesis
PLAIN: dict[str, Any] = {"hypothetical": True, "center": "none", "precision": "fp64"}


def fold(seed: int) -> Net:
    torch.manual_seed(seed)
    return Net(
        lambda net, x: net.last(torch.relu(net.first(x)).mean(2)), first=conv(4, 5), last=nn.Linear(5, 2)
    ).eval()  # fmt: skip


FOLDS = [fold(seed) for seed in (1, 2, 3)]


def strand(X: Tensor) -> Tensor:
    return X.flip(1, 2)  # A C G T: turning the letters pairs them


def moved(X: Tensor, by: int) -> Tensor:
    made = torch.zeros_like(X)
    made[:, :, max(by, 0) : X.shape[2] + min(by, 0)] = X[
        :, :, max(-by, 0) : X.shape[2] - max(by, 0)
    ]
    return made


@pytest.mark.parametrize(
    "models", [FOLDS, tuple(FOLDS), nn.ModuleList(FOLDS)], ids=["list", "tuple", "module list"]
)
def test_the_mean_of_models_and_their_spread(models: Any) -> None:
    each = torch.stack([truth(m, X, target=1)[:, 0] for m in FOLDS])
    got = run(models, X, target=1, **PLAIN)
    torch.testing.assert_close(got.scores, each.mean(0), rtol=1e-9, atol=1e-12)
    assert got.spread is not None
    torch.testing.assert_close(got.spread, each.std(0), rtol=1e-9, atol=1e-12)
    with torch.no_grad():
        own = torch.stack([m(X)[:, 1:] for m in FOLDS]).mean(0)
    torch.testing.assert_close(got.original.float(), own)
    assert [c.name for c in got.checks] == [f"verification (model {n} of 3)" for n in (1, 2, 3)]
    assert all(c.passed for c in got.checks)
    assert got.facts["models"] == 3


def test_spread_is_of_the_scores_as_they_are_given() -> None:
    each = torch.stack([run(m, X, target=[0, 1]).scores for m in FOLDS])
    got = run(FOLDS, X, target=[0, 1])
    assert got.scores.shape == (2, 2, 4, 21)
    assert got.spread is not None
    torch.testing.assert_close(got.scores, each.mean(0), rtol=1e-4, atol=1e-8)
    torch.testing.assert_close(got.spread, each.std(0), rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("alphabet", ["ACGT", "TGCA", "AGCT"])
def test_the_other_strand_is_mapped_back(alphabet: str) -> None:
    order = ["ACGT".index(letter) for letter in alphabet]
    model, given = FOLDS[0], X[:, order]
    inner = Net(
        lambda net, x: net.inner(x[:, [alphabet.index(c) for c in "ACGT"]]), inner=model
    ).eval()
    there = truth(model, strand(X), target=0)[:, 0].flip(1, 2)
    want = (truth(model, X, target=0)[:, 0] + there) / 2
    got = run(
        inner, given, target=0, alphabet=alphabet, reverse_complement=True, start=3, end=17, **PLAIN
    )
    torch.testing.assert_close(got.scores, want[:, order, 3:17], rtol=1e-9, atol=1e-12)
    assert [c.name for c in got.checks] == ["verification", "verification (reverse complement)"]
    assert got.spread is None
    assert got.facts["reverse_complement"] is True


def test_what_a_target_is_on_the_other_strand() -> None:
    torch.manual_seed(4)
    tower = Net(
        lambda net, x: net.last(torch.relu(net.first(x))), first=conv(4, 5), last=conv(5, 2, 1)
    ).eval()
    named = Net(lambda net, x: {"profile": net.tower(x), "counts": x.sum((1, 2))}, tower=tower)
    here, there = (0, slice(3, 9)), (1, slice(21 - 9, 21 - 3))
    mirrored = truth(tower, strand(X), target=there)[:, 0].flip(1, 2)
    want = (truth(tower, X, target=here)[:, 0] + mirrored) / 2
    got = run(
        named.eval(), X, target=("profile", *here), reverse_target=("profile", *there),
        reverse_complement=True, **PLAIN,
    )  # fmt: skip
    torch.testing.assert_close(got.scores, want, rtol=1e-9, atol=1e-12)
    assert all(check.passed for check in got.checks)


@pytest.mark.parametrize("strands", [False, True])
def test_shifts_average_what_is_there(strands: bool) -> None:
    model, shifts = FOLDS[0], (-2, 0, 1)
    total, seen = torch.zeros(2, 4, 21, dtype=torch.float64), torch.zeros(21)
    for by in shifts:
        there = torch.arange(21) + by
        ok = (there >= 0) & (there < 21)
        raw = truth(model, moved(X, by), target=0)[:, 0]
        if strands:
            raw = (raw + truth(model, strand(moved(X, by)), target=0)[:, 0].flip(1, 2)) / 2
        total[:, :, ok] += raw[:, :, there[ok]]
        seen[ok] += 1
    got = run(model, X, target=0, shifts=shifts, reverse_complement=strands, **PLAIN)
    torch.testing.assert_close(got.scores, total / seen, rtol=1e-9, atol=1e-12)
    assert got.facts["shifts"] == [-2, 0, 1]
    part = run(model, X, target=0, shifts=shifts, reverse_complement=strands, start=19, **PLAIN)
    torch.testing.assert_close(part.scores, got.scores[:, :, 19:])


def test_a_view_twice_is_the_sequence() -> None:
    view = View(mirrored=True)
    assert torch.equal(view.of(view.of(X, "NCL", "ACGT"), "NCL", "ACGT"), X)
    assert complement("ACGU").tolist() == [3, 2, 1, 0]
    assert complement("ATCGN").tolist() == [1, 0, 3, 2, 4]


def test_spread_is_kept_in_files(tmp_path: Path) -> None:
    got = run(FOLDS[:2], X, target=0)
    back = nucleoscope.Attribution.load(got.save(tmp_path / "a.npz"))
    assert back.spread is not None
    assert got.spread is not None
    assert torch.equal(back.spread, got.spread)
    assert back.checks == got.checks


def test_models_of_several_types_and_outputs() -> None:
    odd = Net(lambda net, x: net.inner(x.double()).float(), inner=fold(5).double()).eval()
    with pytest.raises(ValueError, match="precision='fp32'"):
        run([FOLDS[0], odd], X, target=0)
    half = run([FOLDS[0], fold(2).bfloat16()], X, target=0)
    assert "half precision (model 2 of 2)" in [c.name for c in half.checks]


@pytest.mark.parametrize(
    ("given", "kind", "says"),
    [
        ({"model": []}, ValueError, "^model: the list is empty"),
        ({"model": [FOLDS[0], 3]}, TypeError, "^model: expected"),
        ({"reverse_complement": 1}, TypeError, "^reverse_complement=1"),
        ({"reverse_complement": True, "alphabet": "ABCD"}, ValueError, "^reverse_complement=True: .*do not pair"),
        ({"reverse_target": 1}, ValueError, "^reverse_target: there is no other strand"),
        ({"reverse_target": [1, 0], "reverse_complement": True}, ValueError, "^reverse_target: it names 2"),
        ({"shifts": 1}, TypeError, "^shifts=1"),
        ({"shifts": (0.5,)}, TypeError, "^shifts="),
        ({"shifts": ()}, ValueError, "^shifts="),
        ({"shifts": (0, 0)}, ValueError, "^shifts="),
        ({"shifts": (0, 21)}, ValueError, "^shifts: 21 moves all sites"),
        ({"shifts": (1, 2)}, ValueError, "^shifts: site 20 leaves"),
    ],
)  # fmt: skip
def test_bad_input(given: dict[str, Any], kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        run(**{"model": FOLDS[0], "X": X, "target": 0, **given})
