"""Redundancy: coalition tables against plain forwards, Shapley values against orders, closed forms, bad input."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from benchmarks.constructed import Motifs, Pooled, either, letters
from nucleoscope.diagnostics import redundancy
from nucleoscope.diagnostics.coalitions import coalition_table, interactions, shapley_values
from nucleoscope.diagnostics.redundancy import from_table

SPANS = [(3, 7), (11, 12), (40, 52)]


def by_orders(table: Tensor, players: int) -> list[float]:
    """The definition: what a player adds to those before it, over all orders."""
    found = [0.0] * players
    for order in itertools.permutations(range(players)):
        before = 0
        for k in order:
            found[k] += float(table[before | 1 << k] - table[before])
            before |= 1 << k
    return [each / math.factorial(players) for each in found]


@given(st.integers(1, 5), st.integers(0, 999))
@settings(deadline=None, max_examples=20)
def test_shapley_values_are_means_over_orders(players: int, seed: int) -> None:
    table = torch.randn(
        2**players, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    found = shapley_values(table)
    torch.testing.assert_close(found, torch.tensor(by_orders(table, players)).double())
    torch.testing.assert_close(found.sum(), table[-1] - table[0])


def test_the_table_is_what_the_model_answers() -> None:
    model, X, background = Pooled(6).eval(), letters(2), torch.stack([letters(3), letters(3)])
    table = coalition_table(model, X, SPANS, background=background)
    double = model.double().requires_grad_(False)
    for n, s in itertools.product(range(2), range(8)):
        Z = X[n].expand(3, -1, -1).clone()
        for k, (start, end) in enumerate(SPANS):
            if not s >> k & 1:
                Z[:, :, start:end] = background[n, :, :, start:end]
        want = double(Z.double()).mean()
        assert table[n, s] == pytest.approx(float(want), abs=1e-5)


def test_saturation_by_closed_form() -> None:
    """y = 1 - exp(-3 k): 9.5 % of a copy's Shapley value for two copies, 0.7 % for three."""
    for copies, share in ((2, 0.095), (3, 0.0071)):
        count = torch.tensor([bin(s).count("1") for s in range(2**copies)]).double()
        found = from_table((1 - torch.exp(-3 * count))[None], [(i, i + 1) for i in range(copies)])
        assert 1 - found.values["rho"] == pytest.approx(share, rel=0.01)
        assert found.fires


@pytest.mark.parametrize(
    ("join", "rho", "interaction"),
    [
        (lambda f: f.sum(1, keepdim=True), 0.0, 0.0),
        (either, 1.0, -1.0),
        (lambda f: f.prod(1, keepdim=True), -1.0, 1.0),
    ],
    ids=["sum", "or", "and"],
)
def test_gates_by_closed_form(join: object, rho: float, interaction: float) -> None:
    model = Motifs(join).eval()  # type: ignore[arg-type]
    X, spans = model.planted(3)
    found = redundancy(model, X, spans, background=torch.zeros_like(X)[:, None])
    assert found.values["rho"] == pytest.approx(rho, abs=1e-5)
    assert found.values["interaction"][0][0][1] == pytest.approx(interaction, abs=1e-5)
    shapley = found.values["shapley"][0]
    assert sum(shapley) == pytest.approx(found.values["joint"][0], abs=1e-5)


def test_regions_that_cancel_have_no_index() -> None:
    found = from_table(torch.tensor([[0.0, 1.0, -1.0, 0.0]]), SPANS[:2])
    assert not found.fires
    assert found.values["rho"] != found.values["rho"]
    assert found.told()["values"]["rho"] is None
    assert "cancel" in found.sentence


def test_interactions_of_pairs() -> None:
    table = torch.tensor([0.0, 1.0, 2.0, 10.0])
    assert interactions(table)[0, 1] == 10 - 2 - 1
    assert interactions(table).diagonal().abs().sum() == 0


def test_bad_input() -> None:
    model, X = Pooled(4).eval(), letters(1)
    for regions, said in (
        ([(1, 5)], "2 to 8"),
        ([(i, i + 1) for i in range(9)], "2 to 8"),
        ([(1, 5), (4, 9)], "overlap at 4"),
        ([(1, 5), (58, 61)], "no stretch"),
        ([(1, 5), (9, 9)], "no stretch"),
    ):
        with pytest.raises(ValueError, match=said):
            redundancy(model, X, regions)
    with pytest.raises(ValueError, match="background: shape"):
        redundancy(model, X, SPANS, background=letters(1))
    with pytest.raises(ValueError, match="2 \\*\\* K"):
        shapley_values(torch.zeros(3))
    with pytest.raises(ValueError, match="training mode"):
        redundancy(nn.Sequential(Pooled(4)), X, SPANS)
