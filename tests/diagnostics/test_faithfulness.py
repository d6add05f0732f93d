"""Faithfulness: closed forms of both correlations, what is asked about, small samples, bad input."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nucleoscope
from benchmarks.constructed import Head, Lifted, Motifs, Pooled, either, letters
from nucleoscope.diagnostics import Finding, faithfulness
from nucleoscope.diagnostics.pairs import _chosen
from tests.evaluate.closed_forms import Additive


def of_pooled(n: int = 6) -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(3)
    model, X = Pooled().eval(), letters(n)
    return model, X, nucleoscope.saturation_mutagenesis(model, X, verify=0).observed()


class InFloats(nn.Module):
    """A model that fixes the type of its numbers, as many published ones do."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Pooled()

    def forward(self, X: Tensor) -> Tensor:
        return self.model(X.float())  # type: ignore[no-any-return]


def test_a_model_that_casts_has_no_copy_in_float64_and_is_asked_all_else() -> None:
    torch.manual_seed(3)
    model, X = InFloats().eval(), letters(6)
    scores = nucleoscope.saturation_mutagenesis(model, X, verify=0)
    found = {each.question: each for each in nucleoscope.card(model, X, scores).findings}
    rounded = found["scaling and precision"]
    assert not rounded.applies
    assert "fixes the type of its numbers" in rounded.sentence
    assert not found["faithfulness"].fires
    assert found["faithfulness"].values["joint"]["r"] > 0.3
    noise = faithfulness(model, X, torch.randn(6, X.shape[2]))
    assert noise.fires


def test_exact_scores_of_an_additive_model_agree_exactly() -> None:
    torch.manual_seed(0)
    X = letters(5, 31).double()
    model = Additive(31).double().eval()
    W = model.weight.detach().double()
    scores = ((W - W.mean(-2, keepdim=True)) * X).sum(1)
    found = faithfulness(model, X, scores)
    assert found.values["single"]["r"] == pytest.approx(1, abs=1e-9)
    assert found.values["single"]["n"] == 5 * 31
    assert found.values["joint"]["r"] > 0.5
    turned = faithfulness(model, X, -2 * scores)
    assert turned.values["single"]["r"] == pytest.approx(-1, abs=1e-9)
    assert turned.values["joint"]["r"] == pytest.approx(-found.values["joint"]["r"], rel=1e-9)
    assert turned.fires
    assert "sign turned around" in turned.sentence


def test_joint_edits_are_what_the_model_says() -> None:
    """Where every other letter does the same, no draw blurs the sums: exactly 1."""

    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.rand(40))

        def forward(self, x: Tensor) -> Tensor:
            return (x[:, 0] * self.weight).sum(1, keepdim=True)

    torch.manual_seed(0)
    X = torch.zeros(2, 4, 40)
    X[:, 0] = 1  # all A, so that any other letter takes the weight away
    model = Counts().eval()
    found = faithfulness(model, X, model.weight.detach().expand(2, -1))
    assert found.values["joint"]["r"] == pytest.approx(1, abs=1e-5)
    assert found.values["single"]["r"] == pytest.approx(1, abs=1e-5)


def test_few_positions_accuse_nothing() -> None:
    model, X, scores = of_pooled(1)
    for seed in range(5):
        torch.manual_seed(seed)
        few = faithfulness(model, X, torch.rand(1, 8), start=20)
        assert not few.fires
    assert faithfulness(model, X, torch.zeros_like(scores)).fires  # that is no matter of chance
    assert not faithfulness(model, X, scores[:, :3]).fires


def test_redundant_copies_are_seen_by_sets() -> None:
    """Any one is enough, so that single edits see nothing of them; taken together they do."""
    torch.manual_seed(0)
    model = Motifs(either).eval()
    X, _ = model.planted(4)
    scores = nucleoscope.integrated_gradients(model, X).observed()
    found = faithfulness(model, X, scores)
    assert not found.fires
    assert "single" not in found.values


def test_sizes_are_compared_by_rank() -> None:
    model, X, scores = of_pooled()
    found = faithfulness(model, X, scores.abs() ** 3, signed=False)
    assert found.values["single"]["r"] == pytest.approx(1, abs=1e-6)
    assert not found.fires
    assert faithfulness(model, X, scores.abs(), signed=True).values["single"]["r"] < 0.9
    assert faithfulness(model, X, torch.rand_like(scores), signed=False).fires


class Falling(nn.Module):
    """A number that every A lowers, by the weight of its position."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(60) + 0.1)

    def forward(self, x: Tensor) -> Tensor:
        return -(x[:, 0] * self.weight).sum(1, keepdim=True)


def test_sizes_of_what_only_lowers_an_answer_are_told_apart_by_words() -> None:
    """They are the same numbers as true scores turned around, so they accuse nothing and the sentence says it."""
    torch.manual_seed(0)
    model, X = Falling().eval(), letters(6)
    true = -(X[:, 0] * model.weight.detach())
    found = faithfulness(model, X, true)
    assert not found.fires
    assert "turned" not in found.values
    sizes = faithfulness(model, X, -true, signed=False)
    assert not sizes.fires
    assert sizes.values["turned"] is True
    assert "their sign is turned around" in sizes.sentence
    assert faithfulness(model, X, -true, signed=True).fires
    other, X, scores = of_pooled()
    mixed = faithfulness(other, X, scores.abs(), signed=False)
    assert mixed.values["turned"] is False
    assert "turned" not in mixed.sentence


@pytest.mark.filterwarnings("ignore:the model cannot be traced")
@pytest.mark.parametrize(("by", "dtype"), [(1e3, "float32"), (1e6, "float64")])
def test_rounding_accuses_nothing(by: float, dtype: str) -> None:
    """Of answers that are a large number less another, the effects are noise in float32."""
    torch.manual_seed(1)  # at which correlations with that noise accused the true map
    model, X = Lifted(by).eval(), letters(8)
    exact = copy.deepcopy(model).double()
    true = nucleoscope.saturation_mutagenesis(exact, X.double(), precision="fp64").observed()
    found = faithfulness(model, X, true)
    assert not found.fires
    assert found.values["dtype"] == dtype
    assert found.values["single"]["r"] == pytest.approx(1, abs=1e-2)
    noise = torch.randn(true.shape)
    assert faithfulness(model, X, noise).fires


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_effects_far_below_an_offset_are_effects(kind: torch.dtype) -> None:
    torch.manual_seed(0)
    model, X = Head(1e-6, nn.Identity(), 1e3).to(kind).eval(), letters(8)
    scores = 1e-6 * ((model.weight - model.weight.mean(0)).detach().float() * X).sum(1)
    found = faithfulness(model, X, scores)
    assert (found.applies, found.fires, found.values["dtype"]) == (True, False, "float64")
    assert found.values["single"]["r"] == pytest.approx(1, abs=1e-3)
    assert faithfulness(model, X, torch.randn_like(scores)).fires


def test_of_a_long_sequence_the_largest_and_some_others_are_asked() -> None:
    scores, there = torch.arange(100.0).double(), torch.ones(100).bool()
    there[99] = False  # N
    found = _chosen(scores, there, 20, torch.Generator().manual_seed(0)).tolist()
    assert len(set(found)) == 20
    assert set(range(89, 99)) <= set(found)
    assert 99 not in found
    assert len(_chosen(scores, there, 200, torch.Generator())) == 99


def test_a_part_of_the_sites_and_an_n() -> None:
    model, X, _ = of_pooled()
    X[0, :, 30] = 0
    part = nucleoscope.saturation_mutagenesis(model, X, start=10, end=45, verify=0).observed()
    found = faithfulness(model, X, part, start=10)
    assert found.values["single"]["r"] == pytest.approx(1, abs=1e-4)
    assert found.values["single"]["n"] == 6 * 35 - 1
    assert faithfulness(model, X, part, start=11).values["single"]["r"] < 0.5


def test_a_further_input_goes_with_its_sequence() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Pooled()

        def forward(self, x: Tensor, by: Tensor) -> Tensor:
            made: Tensor = self.inner(x) * by
            return made

    torch.manual_seed(1)
    model, X = Scaled().eval(), letters(4)
    by = torch.tensor([[1.0], [-2.0], [3.0], [-4.0]])
    true = nucleoscope.saturation_mutagenesis(model, X, (by,), verify=0).observed()
    found: Finding = faithfulness(model, X, true, (by,))
    assert found.values["single"]["r"] == pytest.approx(1, abs=1e-4)
    assert faithfulness(model, X, true, (by.flip(0),)).fires


def test_a_model_that_no_edit_moves() -> None:
    model, X = Head(0.0, nn.Identity()).eval(), letters(3)
    found = faithfulness(model, X, torch.rand(3, X.shape[2]))
    assert (found.applies, found.fires) == (False, False)


@pytest.mark.parametrize(
    ("scores", "given", "message"),
    [
        (torch.rand(2, 60), {}, "one a position of each of 3"),
        (torch.rand(3, 61), {}, "must lie within 60"),
        (torch.rand(3, 60), {"start": 1}, "start=1"),
        (torch.full((3, 60), torch.nan), {}, "NaN"),
        (torch.rand(3, 60), {"n": 0}, "n=0"),
        (None, {}, "got NoneType"),
    ],
)
def test_bad_input(scores: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        faithfulness(Pooled(3).eval(), letters(3), scores, **given)
