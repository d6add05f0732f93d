"""Metrics that ask the explainer again, compare sequences, or look at letters, where the answer is known."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nucleoscope.evaluate import Background, Case, Data, Explained, Pair, metrics
from nucleoscope.evaluate.metrics.consistency import basis
from nucleoscope.evaluate.metrics.randomisation import randomised
from nucleoscope.evaluate.statistics import spearman
from tests.evaluate.closed_forms import UNIFORM, Additive, Either, additive_case, case, letters

N, L = 5, 23


def every(value: float) -> Tensor:
    return torch.full((N,), value, dtype=torch.float64)


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-10, atol=1e-10, equal_nan=True)


def asked(model: Any, explain: Callable[[Any, Tensor], Tensor], X: Tensor, **known: Any) -> Case:
    """A case whose explainer can be asked again."""

    def again(asked: Any, X: Tensor) -> Explained:
        found = explain(asked, X)
        return Explained.read(found, X, hypothetical=found.ndim == 3)

    return Case(model, Data(X, **known), again(model, X), again)


def exact(model: Any, X: Tensor) -> Tensor:
    scores: Tensor = model.exact(X)
    return scores


def alike(symmetric: bool = False) -> Additive:
    """The same weights at all positions; symmetric: for complements too."""
    model = Additive(L)
    with torch.no_grad():
        model.weight[:] = model.weight[:, :1]
        if symmetric:
            model.weight[2:] = model.weight[:2].flip(0)
    return model


@pytest.mark.parametrize("way", ["shift", "reverse complement", "substitution"])
def test_what_means_the_same_is_explained_alike(way: str) -> None:
    planted = torch.zeros(N, L, dtype=torch.bool)
    planted[:, 3:9] = True
    steady = asked(alike(symmetric=True), exact, letters(N, L), planted=planted)
    assert close(metrics.MaxSensitivity(way, moves=math.inf)(steady), every(0))


def test_scores_that_stay_where_they_are() -> None:
    """Of scores 1, 2, ..., L each shift by s leaves differences of s."""
    row = torch.arange(1.0, L + 1).double()
    by_place = asked(alike(), lambda _, X: row.expand(len(X), -1), letters(N, L))
    expected = max(s * math.sqrt(L - s) for s in (1, 2, 3)) / row.norm()
    shifted = metrics.MaxSensitivity(extent=3, draws=3, moves=math.inf)
    assert close(shifted(by_place), every(float(expected)))
    mean = sum(s * math.sqrt(L - s) for s in (1, 2, 3)) / 3 / row.norm()
    averaged = metrics.AvgSensitivity(extent=3, draws=3, moves=math.inf)
    assert close(averaged(by_place), every(float(mean)))
    flipped = (row.flip(0) - row).norm() / row.norm()
    assert close(metrics.MaxSensitivity("reverse complement")(by_place), every(float(flipped)))
    assert metrics.MaxSensitivity("substitution")(by_place).isnan().all()


def test_substitutions_spare_planted_positions() -> None:
    X = letters(N, L)
    X[:, :, 0] = 0  # N is no base to change
    planted = torch.zeros(N, L, dtype=torch.bool)
    planted[:, 3:9] = True
    metric = metrics.MaxSensitivity("substitution", extent=4)
    changed, edited = metric._substituted(
        case(Additive(L), X, torch.zeros(N, L), planted=planted), 0
    )
    assert torch.equal((edited != X).any(1), changed)
    assert (changed.sum(1) == 4).all()
    assert not (changed & planted).any()
    assert not changed[:, 0].any()


def test_monotone_effects_of_an_additive_model() -> None:
    known = additive_case()
    assert close(metrics.MonotonicityCorrelation(background=UNIFORM)(known), every(1))
    rising = metrics.Monotonicity(steps=L, background=UNIFORM)
    assert close(rising(known), (known.scores >= 0).all(1).double())
    model, X = alike(), letters(N, L)
    with torch.no_grad():
        model.weight.zero_()
        model.weight[:, 4] = X[0, :, 4].double()
    assert close(rising(case(model, X, model.exact(X)))[:1], every(1)[:1])


def test_a_map_that_does_not_ask_the_model() -> None:
    row = torch.randn(L, generator=torch.Generator().manual_seed(0)).double()
    deaf = asked(Additive(L), lambda _, X: row.expand(len(X), -1), letters(N, L))
    assert close(metrics.MPRT()(deaf), every(1))
    assert close(metrics.EfficientMPRT()(deaf), every(0))


class Layers(nn.Module):
    """Three layers with weights, of which one is a scale of a single number."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.scale = Additive(L), nn.Parameter(torch.tensor(2.0).double())
        self.last = nn.Linear(1, 1).double()

    def forward(self, X: Tensor) -> Tensor:
        made: Tensor = self.last(self.scale * self.first(X))
        return made

    def exact(self, X: Tensor) -> Tensor:
        return self.first.exact(X) * self.scale.detach() * self.last.weight.detach()


def test_weights_are_redrawn_from_the_last_layer_on() -> None:
    model = Layers()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    seen = []
    for name, made in randomised(model, 0):
        changed = {n for n, v in made.state_dict().items() if not torch.equal(v, before[n])}
        seen.append((name, changed))
    assert [name for name, _ in seen] == ["last", "first", ""]
    assert seen[0][1] <= {"last.weight", "last.bias"}
    assert "first.weight" in seen[1][1]
    assert "scale" in seen[2][1]
    assert all(torch.equal(v, before[n]) for n, v in model.state_dict().items())


def test_the_model_as_it_is_is_no_layer_of_mprt() -> None:
    """The average over layers is of redrawn ones alone: its correlation with itself would be 1."""
    known = asked(Additive(L), exact, letters(N, L))
    ((_, redrawn),) = randomised(known.model, 0)
    by_hand = spearman(known.scores.abs(), exact(redrawn, known.data.X).abs())
    assert close(metrics.MPRT()(known), by_hand)
    assert (by_hand < 0.9).all()


def test_angles_off_the_simplex() -> None:
    metric, model, X = metrics.OffSimplexAngle(), Additive(L), letters(N, L)
    of = lambda *column: metric(  # noqa: E731
        case(model, X, torch.tensor(column)[:, None].expand(N, 4, L).double())
    )
    assert close(of(1.0, 1.0, 1.0, 1.0), every(1))
    assert close(of(1.0, -1.0, 0.5, -0.5), every(0))
    assert close(of(-1.0, 0.0, 0.0, 0.0), every(0))  # 30 degrees, and no more
    assert close(of(-1.0, -0.1, 0.0, 0.0), every(1))
    half = torch.ones(N, 4, L).double()
    half[:, :, 10:] = 0
    half[:, :2, :4] = -1
    assert close(metric(case(model, X, half)), every(6 / 10))
    assert metric(additive_case()).isnan().all()


def test_three_mers_by_counting() -> None:
    X = letters(N, 40)
    scores = torch.randn(N, 40, generator=torch.Generator().manual_seed(1)).double()
    found = metrics.ThreeMerConsistency(share=0.2)(case(Additive(40), X, scores))
    word = lambda n, i: tuple(X[n, :, i : i + 3].argmax(0).tolist())  # noqa: E731
    all_words = Counter(word(n, i) for n in range(N) for i in range(38))
    top: Counter[Any] = Counter()
    for n in range(N):
        edge = scores[n].abs().quantile(0.8)
        kept = {
            j for i in range(40) if scores[n, i].abs() > edge for j in range(i - 2, i + 3) if 0 <= j < 40
        }  # fmt: skip
        top.update(word(n, i) for i in range(38) if {i, i + 1, i + 2} <= kept)
    p = {w: c / sum(top.values()) for w, c in top.items()}
    divergence = sum(
        v * math.log(v / (all_words[w] / sum(all_words.values()))) for w, v in p.items()
    )
    assert float(found.mean()) == pytest.approx(divergence)


def test_axes_of_directions() -> None:
    axes = basis()
    assert close(axes @ axes.T, torch.eye(3).double())
    assert close(axes.sum(1), torch.zeros(3).double())
    published = basis("acme")
    assert torch.equal(published[[0, 2]], axes[[0, 2]])
    assert published[1].norm().item() == pytest.approx(math.sqrt(1 / 3))
    assert not close(published @ published.T, torch.eye(3).double())


def test_one_direction_is_the_sharpest_peak() -> None:
    """All in one box, whose neighbours' mean is one in 49: the divergence is ln 49."""
    column = torch.tensor([0.3, -0.2, 0.5, -0.6]).double()
    known = case(Additive(L), letters(N, L), column[:, None].expand(N, 4, L))
    found = metrics.AngularConsistency(share=1.0, boxes=36, reach=3)(known)
    assert close(found, every(math.log(49)))
    noise = torch.randn(N, 4, L, generator=torch.Generator().manual_seed(0)).double()
    spread = metrics.AngularConsistency(share=1.0)(case(Additive(L), letters(N, L), noise))
    assert spread.mean() < found.mean()
    compat = metrics.AngularConsistency(share=1.0, compat="acme")(
        case(Additive(L), letters(N, L), noise)
    )
    assert not close(compat, spread)
    assert metrics.AngularConsistency()(additive_case()).isnan().all()


class Together(nn.Module):
    """Positions 2 and 7 count only together; all count a little alone."""

    def forward(self, X: Tensor) -> Tensor:
        return (X[:, 0, 2] * X[:, 0, 7] + 0.1 * X[:, 0].sum(1))[:, None]


def input_x_gradient(model: Any, X: Tensor) -> Tensor:
    inputs = X.clone().requires_grad_()
    (made,) = torch.autograd.grad(model(inputs).sum(), inputs)
    return (made * X).sum(1)


def test_interactions_are_seen_where_they_are() -> None:
    X = torch.zeros(2, 4, 12).double()
    X[:, 0] = 1
    pairs = [
        Pair(0, (1, 3), (6, 8), True), Pair(1, (2, 3), (7, 8), True),
        Pair(0, (1, 3), (9, 11), False), Pair(1, (4, 6), (8, 10), False),
    ]  # fmt: skip
    zeros = Background("zeros")
    seen = asked(Together(), input_x_gradient, X, pairs=pairs)
    metric = metrics.InteractionAUROC(zeros)
    assert close(metric.evidence(seen, tuple(pairs)), torch.tensor([1.0, 1, 0, 0]).double())
    assert metric(seen).tolist() == [1, 1]
    blind = asked(Together(), lambda _, X: X[:, 0], X, pairs=pairs)
    assert metric(blind).tolist() == [0.5, 0.5]
    one = replace(seen, data=Data(X, pairs=[pairs[0], pairs[2], pairs[3]]))
    assert metric(one)[0] == 1
    assert metric(one)[1].isnan()


def test_redundant_sites_by_single_mutations() -> None:
    X = torch.zeros(N, 4, 12).double()
    X[:, 1] = 1
    X[:, :, [2, 7]] = torch.tensor([1.0, 0, 0, 0]).double()[:, None]
    planted = torch.zeros(N, 12, dtype=torch.bool)
    planted[:, [2, 7]] = True
    metric = metrics.RedundancyBias(Background("zeros"))
    single = torch.zeros(N, 12)  # replacing one changes nothing
    assert close(metric(case(Either(), X, single, planted=planted)), every(1))
    assert close(metric(case(Either(), X, planted * 0.5, planted=planted)), every(0))
    assert close(metric(case(Either(), X, planted * 1.0, planted=planted)), every(1))
    assert metric(additive_case()).isnan().all()


def test_mutagenesis_agrees_with_itself() -> None:
    known = additive_case()  # the letter there less the mean of all is the exact attribution
    assert close(metrics.MutagenesisAgreement()(known), every(1))
    assert close(metrics.MutagenesisAgreement(3, 9)(known), every(1))
    turned = replace(known, explained=Explained(-known.scores))
    assert close(metrics.MutagenesisAgreement()(turned), every(-1))


def test_what_is_filled_is_a_neighbours() -> None:
    X = letters(N, L)
    taken = torch.rand(N, L, generator=torch.Generator().manual_seed(2)) < 0.5
    taken[0], taken[1] = False, True
    taken[1, 4] = False
    metric = metrics.ROAD(draws=16, noise=0.0)
    known = additive_case()
    filled = metric.filled(known, taken).view(16, N, 4, L)
    assert torch.equal(filled.sum(2), torch.ones(16, N, L).double())
    stays = (filled == X).all(2)
    assert stays[:, ~taken].all()
    assert torch.equal(filled[:, 1], X[1, :, 4:5].expand(16, 4, L))
    for i in taken[2].nonzero()[:, 0].tolist():
        left = [j for j in range(i) if not taken[2, j]][-1:]
        right = [j for j in range(i + 1, L) if not taken[2, j]][:1]
        near = {int(X[2, :, j].argmax()) for j in left + right}
        assert set(filled[:, 2, :, i].argmax(1).tolist()) <= near


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: metrics.MaxSensitivity("noise"), "by='noise'"),
        (lambda: metrics.MaxSensitivity(extent=0), "extent=0"),
        (lambda: metrics.MaxSensitivity(moves=-1), "moves=-1"),
        (lambda: metrics.MaxSensitivity(extent=40, draws=40)(additive_case()), "leaves none"),
        (lambda: metrics.MaxSensitivity()(additive_case()), "explain: this metric asks"),
        (lambda: metrics.Monotonicity(steps=0), "steps=0"),
        (lambda: metrics.MonotonicityCorrelation(positions=2), "positions=2"),
        (lambda: metrics.EfficientMPRT(bins=1), "bins=1"),
        (lambda: metrics.MPRT()(asked(Either(), lambda _, X: X[:, 0], letters(N, L))), "a module with weights"),
        (lambda: metrics.OffSimplexAngle(90), "degrees=90"),
        (lambda: metrics.ThreeMerConsistency(1.0), "share=1.0"),
        (lambda: metrics.AngularConsistency(0.0), "share=0.0"),
        (lambda: metrics.AngularConsistency(compat="other"), "compat='other'"),
        (lambda: metrics.ROAD(shares=()), r"shares=\(\)"),
        (lambda: metrics.ROAD(noise=2), "noise=2"),
    ],
)  # fmt: skip
def test_bad_input(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_whole_numbers_are_subtracted_as_numbers() -> None:
    """Bytes cannot be -1; and pairs may be told by 1 and 0."""
    model, X = Additive(), letters()
    asked_of = [case(model, each, model.exact(X), seed=3) for each in (X, X.to(torch.uint8))]
    whole = [
        metrics.Infidelity()(Case(c.model, c.data, replace(c.explained, letters=model.letters(X))))
        for c in asked_of
    ]
    assert close(*whole)
    pairs = [Pair(0, (0, 2), (4, 6), True), Pair(1, (0, 2), (4, 6), False)]
    asked_for = [
        asked(model, exact, X, pairs=[replace(p, interacts=kind(p.interacts)) for p in pairs])
        for kind in (bool, int)
    ]
    assert torch.equal(*(metrics.InteractionAUROC()(c)[:1] for c in asked_for))


class Site(nn.Module):
    """What stands at position 5: A, C, G or T is 1, 2, 3 or 4."""

    def forward(self, X: Tensor) -> Tensor:
        return (X[:, :, 5] * torch.arange(1.0, 5).to(X)).sum(1)[:, None]


def test_a_shift_that_moves_the_answer_means_something_else() -> None:
    """Only where the base before it is the same is the site what it was."""
    X = letters(40, L)
    site = asked(Site(), lambda _, X: X[:, 0].double() + 1, X)
    same = (X[:, :, 4] == X[:, :, 5]).all(1)
    assert 0 < same.sum() < 40
    found = metrics.MaxSensitivity("shift", extent=1, draws=2)(site)
    assert torch.equal(~found.isnan(), same)
    assert close(found[same], torch.zeros(int(same.sum())).double())
    further = metrics.MaxSensitivity("shift", extent=3, draws=3)(site)
    either = torch.stack([(X[:, :, 5 - by] == X[:, :, 5]).all(1) for by in (1, 2, 3)]).any(0)
    assert torch.equal(~further.isnan(), either)


def test_explainers_that_draw_by_row_draw_alike_for_a_shift() -> None:
    """Noise of the row's place: a sequence whose neighbours are left out would get another's."""
    X = letters(40, L)
    noise = torch.randn(40, 1, generator=torch.Generator().manual_seed(0)).double().abs() + 1
    by_row = asked(Site(), lambda _, X: noise[: len(X)].expand(-1, L), X)
    found = metrics.MaxSensitivity("shift", extent=1, draws=2)(by_row)
    same = (X[:, :, 4] == X[:, :, 5]).all(1)
    assert torch.equal(~found.isnan(), same)
    assert close(found[same], torch.zeros(int(same.sum())).double())
