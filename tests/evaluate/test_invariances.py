"""What must not matter to any metric: the unit of the answer, what is added to it, its sign, batches and order."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from nucleoscope.evaluate import Background, Explained, Metric, metrics
from nucleoscope.evaluate.metrics.change import enough, least
from tests.evaluate.closed_forms import UNIFORM, Additive, additive_case, case, letters
from tests.evaluate.test_metrics import ALL, NAMES, L, N, close, every, wobbly

OF_SIGN = {
    "monotonicity",
    "angular consistency",
    "efficient MPRT",
}  # these ask which way, or count in boxes
SHARES: list[Callable[..., Metric]] = [
    metrics.Deletion, metrics.Insertion, metrics.ABPC, metrics.Completeness,
]  # fmt: skip


class Affine(Additive):
    """The same effects in another unit, around another answer."""

    def __init__(self, times: float = 1.0, plus: float = 0.0) -> None:
        super().__init__(L, 4)
        self.times, self.plus = times, plus

    def forward(self, X: Tensor) -> Tensor:
        return super().forward(X) * self.times + self.plus

    def exact(self, X: Tensor) -> Tensor:
        return super().exact(X) * self.times

    def letters(self, X: Tensor) -> Tensor:
        return super().letters(X)


def in_another_unit(times: float = 1.0, plus: float = 0.0) -> dict[str, object]:
    """Model and map in it."""
    return {"model": Affine(times, plus), "scale": times}


def test_every_metric_is_among_those_that_are_held_to_it() -> None:
    kinds = {
        each
        for _, each in inspect.getmembers(metrics, inspect.isclass)
        if hasattr(each, "higher_is_better")
    }
    # of `MapError` the explainer says it all
    assert kinds - {type(each) for each in ALL} == {metrics.MapError, metrics.Metric}


@pytest.mark.parametrize("metric", ALL, ids=NAMES)
@pytest.mark.parametrize("times", [1e-6, 1e5])
def test_the_unit_of_the_answer_decides_nothing(metric: Metric, times: float) -> None:
    """Infidelity alone is in squared units, as it says."""
    there = metric(wobbly()) * (times**2 if metric.name == "infidelity" else 1)
    assert close(metric(wobbly(**in_another_unit(times))), there, 1e-7)


@pytest.mark.parametrize("metric", ALL, ids=NAMES)
def test_what_is_added_to_the_answer_decides_nothing(metric: Metric) -> None:
    assert close(metric(wobbly(**in_another_unit(plus=-1e4))), metric(wobbly()), 1e-7)


@pytest.mark.parametrize("metric", [m for m in ALL if m.name not in OF_SIGN], ids=lambda m: m.name)
def test_the_sign_of_answer_and_map_decides_nothing(metric: Metric) -> None:
    assert close(metric(wobbly(**in_another_unit(-1.0))), metric(wobbly()), 1e-9)


def cancelling(left: float, plus: float = 0.0, times: float = 1.0) -> tuple[Additive, Tensor]:
    """Of the second sequence the first half does 5, and the second takes all but `left` of it away."""
    model, X = Affine(times, plus), letters(N, L)
    half = torch.arange(L) < L // 2
    with torch.no_grad():
        model.weight -= model.weight.mean(0)
        for where, wish in ((half, 5.0), (~half, left - 5.0)):
            lacks = wish - float((X[1] * model.weight)[:, where].sum())
            model.weight[:, where] += ((X[1] - 0.25) * lacks / (0.75 * int(where.sum())))[:, where]
    return model, X


@pytest.mark.parametrize("kind", SHARES)
@pytest.mark.parametrize(("plus", "times"), [(0.0, 1.0), (1e4, 1.0), (0.0, 1e-6), (-3.0, 1e3)])
def test_shares_of_next_to_nothing_are_undefined(
    kind: Callable[..., Metric], plus: float, times: float
) -> None:
    """A change that is left of parts that cancel has no shares, whatever the unit and what is added."""
    model, X = cancelling(0.01, plus, times)
    metric = kind(background=UNIFORM)
    there = metric(case(model, X, model.exact(X)))
    assert there[1].isnan()
    assert not there[[0, 2]].isnan().any()
    whole, X = cancelling(2.0, plus, times)
    assert not metric(case(whole, X, whole.exact(X)))[1].isnan()


@pytest.mark.parametrize(
    "metric",
    [metrics.Deletion(), metrics.Insertion(), metrics.ABPC(), metrics.ROAD(), metrics.Completeness(),
     metrics.RedundancyBias(), metrics.InfidelityR2()],
    ids=lambda m: m.name,
)  # fmt: skip
def test_no_share_is_a_huge_number(metric: Metric) -> None:
    """Whatever the map and the sequence: of many additive models none has shares that no one can read."""
    planted = torch.zeros(60, L, dtype=torch.bool)
    planted[:, 4:16] = True
    for seed in range(3):
        model, X = Additive(L, seed), letters(60, L, seed)
        noise = torch.randn(
            60, L, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
        )
        noise *= model.exact(X).abs().sum(1, keepdim=True) / noise.abs().sum(1, keepdim=True)
        found = metric(case(model, X, noise, planted=planted))
        assert float(found[~found.isnan()].abs().max()) < 300
        assert found.isnan().double().mean() < 0.3


def test_what_is_next_to_nothing_is_the_sequences_own() -> None:
    """Of an additive model against equal parts the reach is of sums of quarters, and known."""
    known = additive_case()
    effects, quarter = known.scores, torch.arange(L) * 4 // L
    sums = torch.stack([effects[:, quarter == q].sum(1) for q in range(4)], 1)
    whole = effects.sum(1, keepdim=True)
    # answers, less that for equal parts: the sequence, nothing, without a quarter, a quarter alone
    answers = torch.cat([whole, whole * 0, whole - sums, sums], 1)
    reach = answers.amax(1) - answers.amin(1)
    assert close(least(known, "uniform"), 0.05 * reach)
    assert close(least(known, "uniform", 1.0), reach)
    assert enough(known, 0.051 * reach, "uniform").all()
    assert not enough(known, -0.049 * reach, "uniform").any()
    louder = replace(known, explained=Explained(known.scores * 100))
    assert torch.equal(least(louder, "uniform"), least(known, "uniform"))


class Constant(nn.Module):
    def forward(self, X: Tensor) -> Tensor:
        return X.sum((1, 2))[:, None]  # as many letters as positions, whatever they are


def test_rounding_is_no_change() -> None:
    known = case(Constant(), letters(N, L), torch.zeros(N, L).double())
    assert not enough(known, every(1e-15), "dinucleotide").any()


def test_the_r2_is_centred() -> None:
    """It is 1 - SS_res / SS_tot about the mean; a map of one score everywhere earns nothing by effects' mean."""
    known = wobbly()
    metric = metrics.InfidelityR2(edits=40)
    said, effects = metric.foretold(known)
    beta = (said * effects).sum(1) / said.square().sum(1)
    left = (effects - beta[:, None] * said).square().sum(1)
    total = (effects - effects.mean(1, keepdim=True)).square().sum(1)
    assert close(metric(known), 1 - left / total)
    about_0 = metrics.InfidelityR2(40, centred=False)
    assert close(about_0(known), 1 - left / effects.square().sum(1))
    assert (metric.name, about_0.name) == ("infidelity R2", "infidelity R2 (uncentred)")
    silent = replace(known, explained=Explained(torch.zeros(N, L).double()))
    assert close(about_0(silent), every(0))
    mean_square = effects.mean(1).square() * 40 / total
    assert close(metric(silent), -mean_square)
    assert (metric(silent) <= metric(known)).all()


def test_a_map_of_one_score_earns_nothing_by_the_mean() -> None:
    """All positions add 1, as the map says; letters that come in do not, and effects have a mean."""
    model, X = Additive(L), letters(N, L)
    with torch.no_grad():
        model.weight -= model.weight.mean(0)
        model.weight += 2 * X[0]
    X = X[:1].expand(N, -1, -1)
    flat = case(model, X, torch.ones(N, L).double())
    given = {"edits": 64, "background": Background("uniform")}
    centred = metrics.InfidelityR2(**given)(flat)
    about_0 = metrics.InfidelityR2(**given, centred=False)(flat)
    assert (centred < about_0).all()


def test_a_shift_is_held_against_the_reach() -> None:
    """What is added to the answer does not make a shift mean the same."""
    for plus in (0.0, 1e4):
        known = wobbly(**in_another_unit(plus=plus))
        strict = metrics.MaxSensitivity(moves=0.0)
        assert strict(known).isnan().all()
        assert close(
            metrics.MaxSensitivity(moves=0.3)(known),
            metrics.MaxSensitivity(moves=0.3)(wobbly()),
            1e-7,
        )
    assert not metrics.MaxSensitivity(moves=math.inf)(wobbly()).isnan().any()
