"""Models written down: values against all coalitions of positions, gates by hand, deltas, bad input."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

import nucleoscope
from nucleoscope.diagnostics.coalitions import coalition_table, shapley_values
from nucleoscope.evaluate.truth import ANALYTIC, analytic
from nucleoscope.evaluate.truth import gates as g
from nucleoscope.evaluate.truth.exact import position_values
from nucleoscope.evaluate.truth.grammar_model import DISTANCE, MOTIFS, WIDTH, GrammarModel
from nucleoscope.evaluate.truth.planting import one_hot, planted

NEAR = [name for name in ANALYTIC if name != "distal"]
STARTS = (3, 3 + DISTANCE, None)


@functools.cache
def coalitions() -> tuple[Tensor, Tensor]:
    """Two motifs in 34 bases, and every subset of their 16 letters, the others N: [65536, 4, 34]."""
    letters, held = planted(34, STARTS, np.random.default_rng(5))
    X = one_hot([letters])[0]
    sites = torch.from_numpy(np.flatnonzero(held))
    kept = torch.ones(1 << len(sites), 34)
    for i, site in enumerate(sites.tolist()):
        kept[:, site] = torch.arange(1 << len(sites)) >> i & 1
    return X * kept[:, None], sites


@pytest.mark.parametrize(
    "gate",
    [g.additive, g.both, g.either, g.saturating, g.one_alone, g.cancelling, g.spaced],
    ids=lambda gate: gate.__name__,
)
def test_values_are_those_of_all_coalitions(gate: Callable[[Tensor], Tensor]) -> None:
    inputs, sites = coalitions()
    model = GrammarModel(gate)
    table = torch.cat([model(part)[:, 0] for part in inputs.split(8192)]).double()
    brute = shapley_values(table)
    exact = position_values(gate, (True, True, False))
    want = exact[:2].repeat_interleave(WIDTH)
    assert len(brute) == len(sites) == 2 * WIDTH
    torch.testing.assert_close(brute, want, rtol=0, atol=1e-6)  # the model answers in float32
    assert exact[2] == 0


@pytest.mark.parametrize("grammar", NEAR)
def test_values_add_up_and_stand_where_motifs_are(grammar: str) -> None:
    model, data = analytic(grammar, 12, seed=3)
    assert data.exact is not None
    assert data.planted is not None
    assert data.labels is not None
    empty = model(torch.zeros_like(data.X))[:, 0].double()
    torch.testing.assert_close(data.exact.sum(1), data.labels - empty, rtol=0, atol=2e-7)
    assert not data.exact[~data.planted].any()
    found = {
        "".join("ACGT"[i] for i in data.X[n, :, at : at + WIDTH].argmax(0))
        for n in range(12)
        for at in (data.planted[n].int().diff() == 1).nonzero()[:, 0] + 1
    }
    assert found <= set(MOTIFS)
    again = analytic(grammar, 12, seed=3)[1]
    assert torch.equal(again.X, data.X)
    assert not torch.equal(analytic(grammar, 12, seed=4)[1].X, data.X)


def test_what_gates_answer() -> None:
    first = {name: analytic(name, 6)[1].labels for name in NEAR}
    assert {name: [round(v, 3) for v in labels.tolist()] for name, labels in first.items()} == {  # type: ignore[union-attr]
        "additive": [2.25, 1.5, 2.25, 1.25, 2.25, 0.5],
        "and": [1.5, 0.5, 1.5, 0.5, 1.5, 0.5],
        "or": [1.5, 1.5, 1.5, 1.5, 1.5, 0.5],
        "saturating": [1.498, 1.45, 1.498, 1.45, 1.498, 0.5],
        "xor": [0.5, 1.5, 0.5, 1.5, 0.5, 0.5],
        "spaced": [2.0, 0.75, 1.0, 0.75, 2.0, 0.5],
        "cancelling": [0.5, 1.5, 0.5, -0.5, 0.5, 0.5],
    }


def test_pairs_are_what_the_model_does() -> None:
    """Of every pair: what both motifs do beyond what each does, N in the place of a motif."""
    for grammar in ("and", "spaced", "xor"):
        model, data = analytic(grammar, 6)
        assert data.pairs is not None
        for pair in data.pairs:
            X = data.X[pair.sequence].repeat(4, 1, 1)
            for s, k in ((0, 0), (0, 1), (1, 1), (2, 0)):  # without both, one, the other, neither
                start, end = (pair.first, pair.second)[k]
                X[s, :, start:end] = 0
            met = (model(X)[:, 0] * torch.tensor([1.0, -1.0, -1.0, 1.0])).sum().abs()
            assert bool(met > 0.1) == pair.interacts
    assert analytic("additive", 6)[1].pairs is None


def test_the_delta_engine_makes_the_same_table() -> None:
    model, data = analytic("and", 6)
    assert data.pairs is not None
    X, pair = data.X[:1], data.pairs[0]
    table = coalition_table(
        model, X, [pair.first, pair.second], background=torch.zeros_like(X)[:, None]
    )
    torch.testing.assert_close(table, torch.tensor([[0.5, 0.5, 0.5, 1.5]]).double())


def test_it_goes_by_deltas() -> None:
    for grammar in ("saturating", "spaced"):
        model, data = analytic(grammar, 6)
        assert "Deltas all the way" in str(nucleoscope.plan(model, data.X[:1]))


def test_distal_is_far() -> None:
    model, data = analytic("distal")
    assert data.pairs is not None
    assert data.exact is not None
    apart = [abs(p.second[0] - p.first[0]) for p in data.pairs if p.interacts]
    assert min(apart) >= 100_000
    assert data.X.shape == (6, 4, 131_072)
    torch.testing.assert_close(data.exact.sum(1), data.labels, rtol=0, atol=1e-6)
    first = next(p.first for p in data.pairs if p.interacts)
    X = data.X[:1].clone()
    X[:, :, first[0]] = 0
    assert model(X) == 1.0  # one letter missing is half of it


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="grammar='nand'"):
        analytic("nand")
    with pytest.raises(ValueError, match="count=3"):
        analytic("and", 3)
    with pytest.raises(ValueError, match="length=40"):
        analytic("and", length=40)
    with pytest.raises(ValueError, match="100048 bases or more"):
        analytic("distal", length=99_000)
    with pytest.raises(ValueError, match="overlap or lie outside"):
        planted(40, (1, 5, None), np.random.default_rng(0))
    with pytest.raises(ValueError, match="overlap or lie outside"):
        planted(40, (1, 35, None), np.random.default_rng(0))
