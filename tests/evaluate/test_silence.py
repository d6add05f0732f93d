"""An explainer that says nothing where it is hard: its values are there, and no ranking is gained by them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from nucleoscope.evaluate import Case, Data, Explained, Metric, metrics
from tests.evaluate.closed_forms import UNIFORM, Additive, additive_case, case, letters
from tests.evaluate.test_metrics import ALL, NAMES, PLANTED, L, N, close, every, wobbly


def silenced(known: Case, rows: list[int]) -> Case:
    """The same case, but nothing is said of some sequences, whatever model or copy of them is asked about."""
    keep = torch.ones(len(known.data), 1, dtype=torch.float64)
    keep[rows] = 0
    asked = known.explain
    assert asked is not None

    def quiet(found: Explained) -> Explained:
        some = (
            keep if len(found.positions) == len(keep) else keep.new_zeros(len(found.positions), 1)
        )
        told = found.letters
        return Explained(found.positions * some, None if told is None else told * some[..., None])

    return replace(
        known, explained=quiet(known.explained), explain=lambda model, X: quiet(asked(model, X))
    )


@pytest.mark.parametrize("metric", ALL, ids=NAMES)
def test_silence_has_a_value(metric: Metric) -> None:
    """Wherever one that speaks has one: none is left out of a mean for what was not said."""
    assert torch.isfinite(metric(silenced(wobbly(), list(range(N))))).all()
    some = metric(silenced(wobbly(), [0, 3]))
    assert torch.isfinite(some).all()


@pytest.mark.parametrize(
    ("metric", "worth"),
    [
        (metrics.Sparseness(), 0.0),
        (metrics.Complexity(), math.log(L)),
        (metrics.RelevanceMass(), 4 / L),
        (metrics.RelevanceMass(absolute=False), 4 / L),
        (metrics.RelevanceRank(), 4 / L),
        (metrics.PointingGame(), 4 / L),
        (metrics.AUPRC(), 4 / L),
        (metrics.AUROC(), 0.5),
        (metrics.MaxSensitivity("reverse complement"), math.sqrt(2)),
        (metrics.MPRT(), 1.0),
        (metrics.EfficientMPRT(), 0.0),
        (metrics.Completeness("scores"), 1.0),
        (metrics.Completeness("change"), 1.0),
        (metrics.SensitivityN(), 0.0),
        (metrics.ExactAgreement(), 0.0),
        (metrics.ExactError(), 1.0),
        (metrics.MutagenesisAgreement(), 0.0),
        (metrics.MonotonicityCorrelation(), 0.0),
        (metrics.RedundancyBias(), 1.0),
        (metrics.AngularConsistency(), 0.0),
        (metrics.InteractionAUROC(), 0.5),
        (metrics.OffSimplexAngle(), 1 - 2 / math.pi * (math.pi / 6 + math.sqrt(3) / 4)),
    ],
    ids=lambda given: getattr(given, "name", ""),
)  # fmt: skip
def test_what_silence_is_worth(metric: Metric, worth: float) -> None:
    assert close(metric(silenced(wobbly(), list(range(N)))), every(worth))
    some = metric(silenced(wobbly(), [1, 4]))[[1, 4]]
    if metric.name != "interaction AUROC":  # which compares sequences
        assert close(some, every(worth)[:2])


def test_the_chance_of_an_angle() -> None:
    drawn = torch.randn(
        400, 4, 250, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    for degrees in (10.0, 30.0, 60.0):
        metric = metrics.OffSimplexAngle(degrees)
        sine, _ = metric.sines(drawn)
        far = (sine.abs() > math.sin(math.radians(degrees))).double().mean()
        assert metric.chance == pytest.approx(float(far), abs=0.01)


def test_3_mers_of_silence_are_those_of_positions_at_random() -> None:
    quiet = silenced(wobbly(seed=5), list(range(N)))
    drawn = torch.rand(L, generator=quiet.draws(4), dtype=torch.float64)
    by_chance = replace(quiet, explained=Explained(drawn.expand(N, L)))
    metric = metrics.ThreeMerConsistency()
    assert close(metric(quiet), metric(by_chance))


@pytest.mark.parametrize("metric", [metrics.ThreeMerConsistency(), metrics.AngularConsistency()])
def test_few_that_speak_do_not_repeat_themselves_more(metric: Metric) -> None:
    """Noise that speaks of one sequence alone looks like a motif: left among themselves, they would win."""
    X = letters(40, 60)
    noise = torch.randn(40, 4, 60, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    whole = metric(case(Additive(60), X, noise)).mean()
    for speaking in (1, 4, 20):
        quiet = noise.clone()
        quiet[speaking:] = 0
        assert metric(case(Additive(60), X, quiet)).mean() <= whole * 1.1


def test_mprt_of_a_map_that_vanishes() -> None:
    """Silent of the redrawn model, it has lost everything; silent of both, it had nothing to lose."""
    X = letters(N, L)
    model = Additive(L)

    def explain(asked: object, X: Tensor) -> Explained:
        made = model.exact(X) if asked is model else torch.zeros(len(X), L).double()
        return Explained(made)

    gone = Case(model, Data(X), explain(model, X), explain)
    assert close(metrics.MPRT()(gone), every(0))
    assert close(metrics.EfficientMPRT()(gone), every(-1))


def test_sets_that_miss_a_sparse_map_foretell_nothing() -> None:
    """One position scores, no set of one holds it, and effects differ: undefined there, 0 where that is all."""
    X = letters(2, 30)
    scores = torch.zeros(2, 30).double()
    scores[:, 13] = 1
    sparse = case(Additive(30), X, scores)
    assert metrics.SensitivityN(at=(1,), subsets=8)(sparse).tolist() == [0, 0]
    # a map that is right there, since nothing has an effect that the sets miss
    right = Additive(30)
    with torch.no_grad():
        right.weight[:, :13] = 0
        right.weight[:, 14:] = 0
    exact = case(right, X, right.exact(X))
    assert metrics.SensitivityN(at=(1,), subsets=8, background=UNIFORM)(exact).isnan().all()


def test_little_is_not_missed_by_saying_little() -> None:
    """Of the scores' size alone, a map a hundredth as large would miss a hundred times as much."""
    exact = additive_case()
    for scale in (0.0, 1e-9, 1e-3):
        small = replace(exact, explained=Explained(exact.scores * scale))
        gap = metrics.Completeness("scores", UNIFORM)(small)
        assert (gap <= 1).all()
        assert (gap >= 0).all()
    assert close(metrics.Completeness("scores", UNIFORM)(exact), every(0))


def test_planted_positions_are_a_share_of_the_length() -> None:
    """Relevance mass of no relevance is what relevance spread at random has in the mean."""
    drawn = torch.rand(4000, L, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mass = metrics.RelevanceMass().found(drawn, PLANTED[:1].expand(4000, -1))
    assert float(mass.mean()) == pytest.approx(4 / L, abs=0.005)
