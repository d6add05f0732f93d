"""Every metric on cases whose answer is known, and under changes that must not matter."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from nucleoscope import dinucleotide_shuffle
from nucleoscope.evaluate import (
    Background,
    Case,
    Data,
    Explained,
    Metric,
    Pair,
    background,
    metrics,
)
from nucleoscope.evaluate.metrics import removal
from tests.evaluate.closed_forms import (
    UNIFORM,
    Additive,
    Either,
    Rounded,
    additive_case,
    case,
    letters,
)

N, L = 5, 23
PLANTED = torch.zeros(N, L, dtype=torch.bool)
PLANTED[:, 4:8] = True
ALL: list[Metric] = [
    metrics.Completeness(), metrics.SensitivityN(), metrics.Infidelity(), metrics.InfidelityR2(),
    metrics.Deletion(), metrics.Insertion(), metrics.ABPC(), metrics.AUROC(), metrics.AUPRC(),
    metrics.AUPRCLift(), metrics.RelevanceMass(), metrics.RelevanceRank(), metrics.PointingGame(),
    metrics.Sparseness(), metrics.Complexity(), metrics.ExactAgreement(), metrics.ExactError(),
    metrics.MaxSensitivity(moves=math.inf), metrics.MaxSensitivity("reverse complement"),
    metrics.MaxSensitivity("substitution"), metrics.Monotonicity(), metrics.MonotonicityCorrelation(),
    metrics.MPRT(), metrics.EfficientMPRT(), metrics.OffSimplexAngle(), metrics.ThreeMerConsistency(),
    metrics.AngularConsistency(share=0.5), metrics.InteractionAUROC(), metrics.RedundancyBias(),
    metrics.MutagenesisAgreement(), metrics.ROAD(), metrics.InfidelityR2(centred=False),
    metrics.AvgSensitivity(moves=math.inf), metrics.AvgSensitivity("reverse complement"),
]  # fmt: skip
NAMES = [each.name for each in ALL]
OF_SCALE = {
    "completeness gap",
    "exact error",
    "redundancy bias",
}  # these ask for the output's units
OF_ALL = {
    "3-mer consistency",
    "angular consistency",
    "interaction AUROC",
}  # these compare sequences
PAIRS = [Pair(n, (2, 5), (9, 12), n % 2 == 0) for n in range(N)] + [
    Pair(n, (3, 6), (14, 19), n % 2 == 1) for n in range(N)
]


def wobbly(
    scale: float = 1.0, order: Sequence[int] = tuple(range(N)), model: Any = None, **given: Any
) -> Case:
    """An additive model and scores that are not quite its own, nor of single letters alone."""
    X, rows = letters(N, L)[list(order)], list(order)

    def explain(asked: Any, X: Tensor) -> Explained:
        found = asked.letters(X) + 0.1 * (X * X.roll(1, 2)).sum(1, keepdim=True)
        return Explained.read(
            (found + 0.3 * (17 * found).sin() + 0.1) * scale, X, hypothetical=True
        )

    model = Additive(L, 4) if model is None else model
    pairs = [replace(p, sequence=rows.index(p.sequence)) for p in PAIRS if p.sequence in rows]
    data = Data(X, planted=PLANTED[rows], exact=model.exact(X), pairs=pairs)
    return Case(model, data, explain(model, X), explain, **given)


def every(value: float) -> Tensor:
    return torch.full((N,), value, dtype=torch.float64)


def close(a: Tensor, b: Tensor, tolerance: float = 1e-10) -> bool:
    return torch.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)


@pytest.mark.parametrize("metric", ALL, ids=NAMES)
def test_one_float64_for_each_sequence(metric: Metric) -> None:
    made = metric(wobbly())
    assert (made.shape, made.dtype) == ((N,), torch.float64)
    assert torch.isfinite(made).all()
    assert metric.category in metrics.CATEGORIES
    assert metric == replace(metric)  # type: ignore[type-var]
    assert torch.equal(made, metric(wobbly()))


@pytest.mark.parametrize("metric", ALL, ids=NAMES)
def test_the_size_of_a_batch_decides_nothing(metric: Metric) -> None:
    assert close(metric(wobbly(batch_size=3)), metric(wobbly()))


@pytest.mark.parametrize("metric", ALL, ids=NAMES)
def test_the_order_of_sequences_decides_nothing(metric: Metric) -> None:
    order = [3, 0, 4, 1, 2]
    assert close(metric(wobbly(order=order)), metric(wobbly())[order])


@pytest.mark.parametrize("metric", [m for m in ALL if m.name not in OF_ALL], ids=lambda m: m.name)
def test_other_sequences_decide_nothing(metric: Metric) -> None:
    assert close(metric(wobbly(order=[0, 1])), metric(wobbly())[:2])


@pytest.mark.parametrize("metric", ALL, ids=NAMES)
def test_a_scale_decides_nothing(metric: Metric) -> None:
    assert close(metric(wobbly(8.0)), metric(wobbly())) != (metric.name in OF_SCALE)


def test_exact_attributions_of_an_additive_model() -> None:
    exact = additive_case()
    assert close(metrics.Completeness(background=UNIFORM)(exact), every(0))
    assert close(metrics.SensitivityN(background=UNIFORM)(exact), every(1))
    assert close(metrics.Infidelity(background=UNIFORM)(exact), every(0))
    assert close(metrics.InfidelityR2(background=UNIFORM)(exact), every(1))
    assert close(metrics.ExactAgreement()(exact), every(1))
    assert close(metrics.ExactError()(exact), every(0))


def test_hypothetical_scores_foretell_letters() -> None:
    """Of an additive model they say what any letter does, so blocks of real letters leave nothing."""
    model, X = Additive(L), letters(N, L)
    known = case(model, X, model.letters(X))
    for kind in ("dinucleotide", "random"):
        background = Background(kind, 3)
        assert close(metrics.InfidelityR2(background=background)(known), every(1), 1e-8)
    doubled = replace(known, explained=Explained.read(model.letters(X) * -3, X, hypothetical=True))
    assert close(metrics.Infidelity()(doubled), every(0), 1e-8)


def test_a_gap_is_what_is_missed() -> None:
    exact = additive_case()
    change = exact.scores.sum(1)
    twice = replace(exact, explained=Explained(exact.scores * 2))
    gap = lambda against: metrics.Completeness(against, UNIFORM)(twice)  # noqa: E731
    assert close(gap("change"), every(1))
    assert close(gap("nothing"), change.abs())
    assert close(gap("scores"), change.abs() / (2 * exact.scores.abs().sum(1)))


def test_what_a_batchs_size_rounds_is_no_change() -> None:
    """A change that is rounding alone is none to be complete in, and no fall."""
    X = letters(3, L).float()
    X[:, :, 0] = torch.eye(4)[:3]  # A, C, G
    known = case(Rounded(), X, torch.arange(L).double().expand(3, L))
    complete = metrics.Completeness(background=Background("zeros"))(known)
    assert complete.isnan().tolist() == [False, True, True]
    level = metrics.Monotonicity(background=Background("zeros"))(known)
    assert level.tolist() == [0, 1, 1]


def test_draws_that_sequences_share_are_asked_about_once() -> None:
    known = case(Rounded(), letters(6, L).float(), torch.ones(6, L).double())
    for kind, asked in (
        (Background("zeros"), 1), (UNIFORM, 1), (Background("random", 3), 3), (Background(draws=2), 12),
    ):  # fmt: skip
        known.model.asked.clear()
        metrics.Completeness("nothing", kind)(known)
        assert known.model.asked == [6, asked], kind


def test_what_an_explainer_measures_from_is_what_it_must_add_up_to() -> None:
    model, X = Additive(L), letters(N, L)
    from_zeros = Explained((X * model.weight.detach()).sum(1), against="zeros")
    of_zeros = Case(model, Data(X), from_zeros)
    assert close(metrics.Completeness()(of_zeros), every(0))
    assert (metrics.Completeness(background=UNIFORM)(of_zeros) > 1e-3).all()


def test_an_error_bar_is_the_explainers_own() -> None:
    bar = torch.rand(N)
    told = Case(Additive(L), Data(letters(N, L)), Explained(torch.ones(N, L).double(), None, bar))
    assert torch.equal(metrics.MapError()(told), bar.double())
    assert metrics.MapError()(additive_case()).isnan().all()


def test_removal_of_an_additive_model() -> None:
    """Of scores c, 0, 0, ... the first step takes all: deletion is half a step, insertion one less that."""
    model, X = Additive(L), letters(N, L)
    with torch.no_grad():
        model.weight[:, 1:] = 0
    exact = case(model, X, model.exact(X))
    given = {"steps": L, "background": UNIFORM}
    assert close(metrics.Deletion(**given)(exact), every(0.5 / L))
    assert close(metrics.Insertion(**given)(exact), every(1 - 0.5 / L))
    assert close(metrics.ABPC(**given)(exact), every(1 - 1 / L))
    against = replace(exact, explained=Explained(-exact.scores))  # the only one comes last
    assert close(metrics.Deletion(**given)(against), every(1 - 0.5 / L))
    assert close(metrics.ABPC(**given)(against), every(1 / L - 1))


def test_patches_go_by_their_mean() -> None:
    scores = torch.tensor([[0.0, 0, 9, 3, 1, 1, 5]]).double()
    assert removal.shared(scores, 2).tolist() == [[0, 0, 6, 6, 1, 1, 5]]
    assert close(removal.shared(scores, 9), torch.full((1, 7), 19 / 7, dtype=torch.float64))
    model, X = Additive(20), letters(N, 20)
    with torch.no_grad():
        model.weight[:, :10] = 0
        model.weight[:, 15:] = 0  # three of four patches of five say nothing
    exact = case(model, X, model.exact(X))
    assert close(metrics.Deletion(4, UNIFORM, patch=5)(exact), every(1 / 8))
    assert close(metrics.ABPC(4, UNIFORM, patch=5)(exact), every(1 - 1 / 4))


def test_removal_where_all_positions_count_alike() -> None:
    model, X = Additive(L), letters(N, L)
    with torch.no_grad():
        model.weight.copy_(X[0])
    X = X[:1].expand(N, -1, -1)
    alike = case(model, X, model.exact(X))
    assert close(metrics.Deletion(background=UNIFORM)(alike), every(0.5))
    assert close(metrics.Insertion(background=UNIFORM)(alike), every(0.5))
    assert close(metrics.ABPC(background=UNIFORM)(alike), every(0))


def test_nothing_to_explain_is_not_a_number() -> None:
    model = Additive(L)
    with torch.no_grad():
        model.weight.zero_()
    nothing = case(model, letters(N, L), torch.zeros(N, L).double(), planted=PLANTED)
    undefined = {
        "completeness gap", "sensitivity-n", "infidelity R2", "infidelity R2 (uncentred)",
        "deletion", "insertion", "ABPC",
        "exact agreement", "exact error", "monotonicity correlation",
        "off-simplex share", "angular consistency", "interaction AUROC", "redundancy bias",
        "mutagenesis agreement", "ROAD",
    }  # fmt: skip
    for metric in ALL:
        if metric.category in ("robustness", "randomisation"):
            continue  # they need an explainer
        assert metric(nothing).isnan().all() == (metric.name in undefined), metric.name


def test_sensitivity_n_tells_a_single_position_from_a_set() -> None:
    """Each of two hides the other: single positions have no effect, sets of L - 1 have."""
    X = torch.zeros(1, 4, 10).double()
    X[:, 1] = 1
    X[:, :, [2, 7]] = torch.tensor([1.0, 0, 0, 0]).double()[:, None]
    scores = torch.zeros(1, 10).double()
    scores[:, [2, 7]] = 0.5
    hidden = case(Either(), X, scores)
    single = metrics.SensitivityN(at=(1,), subsets=40, background=Background("zeros"))
    assert single(hidden).isnan().all()
    many = metrics.SensitivityN(at=(5,), subsets=400, background=Background("zeros"))
    # Σφ is 0, ½ or 1 and the effect 1 for the last alone: with p = P(both), q = P(one)
    both, one = (5 * 4) / (10 * 9), 2 * 5 * 5 / (10 * 9)
    cov = both - both * (both + one / 2)
    spread = math.sqrt(both * (1 - both) * (both + one / 4 - (both + one / 2) ** 2))
    assert many(hidden).item() == pytest.approx(cov / spread, abs=0.1)


def test_sets_that_miss_a_sparse_map_say_nothing() -> None:
    """All sums of a size are 0 where no set holds the one position that scores: left out of other sizes."""
    X = letters(2, 30)
    scores = torch.zeros(2, 30).double()
    scores[:, 13] = 1
    sparse = case(Additive(30), X, scores)
    metric = metrics.SensitivityN(at=(1, 15), subsets=8, background=Background("zeros"))
    missed, found = metric.by_size(sparse)
    assert missed.isnan().all()
    assert torch.equal(metric(sparse), found)


def test_planted_positions_by_hand() -> None:
    X, mask = letters(1, 6), torch.tensor([[True, True, False, False, False, False]])
    by = lambda metric, *row: metric(  # noqa: E731
        case(Additive(6), X, torch.tensor([row]).double(), planted=mask)
    ).item()
    assert by(metrics.AUROC(), -3, 2, 1, 0, 0, 0) == 1
    assert by(metrics.AUROC(absolute=False), -3, 2, 1, 0, 0, 0) == 0.5
    assert by(metrics.AUPRC(), 3, 1, 2, 0, 0, 0) == pytest.approx((1 + 2 / 3) / 2)
    assert by(metrics.AUPRCLift(), 3, 1, 2, 0, 0, 0) == pytest.approx((1 + 2 / 3) / 2 * 3)
    assert by(metrics.AUPRCLift(), 1, 1, 1, 1, 1, 1) == pytest.approx(1)
    assert by(metrics.RelevanceMass(), 3, -1, 2, 0, 0, 2) == pytest.approx(0.5)
    assert by(metrics.RelevanceMass(absolute=False), 3, -1, 2, 0, 0, 1) == pytest.approx(0.5)
    assert by(metrics.RelevanceRank(), 3, 1, 2, 0, 0, 0) == 0.5
    assert by(metrics.RelevanceRank(), 3, 1, 1, 1, 0, 0) == pytest.approx((1 + 1 / 3) / 2)
    assert by(metrics.RelevanceRank(), 0, 0, 0, 0, 0, 0) == pytest.approx(1 / 3)
    assert by(metrics.RelevanceRank(top=1), 3, 1, 4, 0, 0, 0) == 0
    assert by(metrics.RelevanceRank(top=4), 3, 1, 4, 0, 0, 0) == pytest.approx(2 / 4)
    assert by(metrics.PointingGame(), 3, 1, -4, 0, 0, 0) == 0
    assert by(metrics.PointingGame(absolute=False), 3, 1, -4, 0, 0, 0) == 1
    assert by(metrics.PointingGame(), 3, 1, 3, 0, 0, 0) == 0.5


@pytest.mark.parametrize("metric", ALL[7:13], ids=NAMES[7:13])
def test_without_planted_positions_there_is_no_answer(metric: Metric) -> None:
    assert metric(additive_case()).isnan().all()


@pytest.mark.parametrize("kind", ["dinucleotide", "random", "uniform", "zeros"])
def test_a_background_follows_from_seed_and_letters(kind: str) -> None:
    background, known = Background(kind, 3), additive_case()
    drawn = background.of(known)
    assert torch.equal(drawn, background.of(known))
    assert drawn.shape == (N, 3 if kind in ("dinucleotide", "random") else 1, 4, L)
    other = background.of(replace(known, seed=1))
    assert torch.equal(drawn, other) == (kind in ("uniform", "zeros"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Background("shuffle"), "kind='shuffle': use one of"),
        (lambda: Background(draws=0), "draws=0: 1 or more"),
        (lambda: metrics.SensitivityN(subsets=2), "subsets=2"),
        (lambda: metrics.SensitivityN(at=(0,))(additive_case()), "sizes lie between 1 and 22"),
        (lambda: metrics.Infidelity(edits=1), "edits=1"),
        (lambda: metrics.Deletion(steps=0), "steps=0"),
        (lambda: metrics.Deletion(patch=0), "patch=0"),
        (lambda: metrics.RelevanceRank(top=0), "top=0"),
        (lambda: metrics.RelevanceRank(top=99)(wobbly()), "top=99"),
        (lambda: metrics.SensitivityN(most=1.0), "most=1.0"),
        (lambda: metrics.Completeness("all"), "relative_to='all'"),
        (lambda: additive_case(batch_size=0), "batch_size=0"),
        (lambda: case(Additive(L), letters(N, L), torch.zeros(N, 4)), "returned the shape"),
        (lambda: case(Additive(L), letters(N, L), torch.full((N, L), torch.nan)), "NaN or infinite"),
        (lambda: additive_case().again(letters(N, L)), "explain: this metric asks"),
        (lambda: Case(Additive(L), Data(letters(N, L)), Explained(torch.zeros(1, L))), "scores of shape"),
    ],
)  # fmt: skip
def test_bad_input(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        make()


def test_an_answer_that_is_no_number_is_told() -> None:
    class Broken(Additive):
        def forward(self, X: Tensor) -> Tensor:
            return super().forward(X) / 0

    X = letters(N, L)
    with pytest.raises(ValueError, match="its answers hold NaN"):
        metrics.Deletion()(case(Broken(L), X, torch.zeros(N, L)))


def test_what_is_no_array_is_told() -> None:
    with pytest.raises(TypeError, match="returned a str"):
        Explained.read("scores", letters(N, L))


def test_explainers_are_not_judged_by_their_own_shuffles() -> None:
    known = additive_case()
    for seed in range(3):
        own = dinucleotide_shuffle(known.data.X, 8, seed)
        judge = Background("dinucleotide", 8).of(replace(known, seed=seed))
        assert (own != judge).flatten(1).any(1).all()


@pytest.mark.parametrize(
    "metric",
    [
        metrics.ExactAgreement(),
        metrics.SensitivityN(),
        metrics.MutagenesisAgreement(),
        metrics.MonotonicityCorrelation(),
    ],
    ids=lambda m: m.name,
)
@pytest.mark.parametrize("score", [0.0, 0.7])
def test_saying_the_same_everywhere_is_worth_0(metric: Metric, score: float) -> None:
    model, X = Additive(L), letters(N, L)
    silent = case(model, X, torch.full((N, L), score).double(), exact=model.exact(X))
    assert torch.equal(metric(silent), every(0))


def test_ties_do_not_go_from_left_to_right() -> None:
    """Of one position that matters, scored as all others: its turn follows from the seed."""
    model, X = Additive(L), letters(N, L)
    with torch.no_grad():
        model.weight[:, 1:] = 0
    tied = case(model, X, torch.zeros(N, L).double())
    for metric in (
        metrics.Deletion(L, UNIFORM),
        metrics.Insertion(L, UNIFORM),
        metrics.ROAD(draws=2),
    ):
        found = {float(metric(replace(tied, seed=seed)).nanmean()) for seed in range(6)}
        assert len(found) > 1, metric.name
    firsts = [int(removal.turns(replace(tied, seed=s), tied.scores)[0, 0]) for s in range(200)]
    assert abs(sum(firsts) / len(firsts) - (L - 1) / 2) < 2  # six standard errors of a mean are 2.8
    ordered = tied.scores + torch.arange(L)
    assert torch.equal(removal.turns(tied, -ordered)[0], torch.arange(L).flip(0))
    ordered[1, :3] = 5  # in one sequence some are alike: the others keep their order
    mixed = removal.turns(tied, -ordered)
    assert torch.equal(mixed[0], torch.arange(L).flip(0))
    assert torch.equal(mixed[1].sort().values, torch.arange(L))
    assert torch.equal(mixed[1, :10], torch.arange(L).flip(0)[:10])


def test_the_lift_of_an_order_at_random() -> None:
    length, many = 200, 2
    drawn = torch.Generator().manual_seed(0)
    marked = torch.zeros(4000, length, dtype=torch.bool)
    marked[:, :many] = True
    scores = torch.rand(4000, length, generator=drawn, dtype=torch.float64)
    harmonic = sum(1 / k for k in range(1, length + 1)) / length
    expected = (harmonic + (many - 1) / (length - 1) * (1 - harmonic)) * length / many
    assert expected == pytest.approx(3.4, abs=0.1)
    assert metrics.AUPRCLift().found(scores, marked).mean() == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("metric", [metrics.ABPC(), metrics.Insertion(), metrics.Monotonicity()])
def test_walks_go_by_blocks_of_sequences(metric: Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, held = metric(wobbly()), []
    monkeypatch.setattr(background, "HELD", 2 * 8 * 4 * L)  # two sequences with their draws
    start = background.Walk.__init__

    def counted(self: Any, case: Case, first: Tensor, *others: Tensor) -> None:
        start(self, case, first, *others)
        held.append(self._now.numel())

    monkeypatch.setattr(background.Walk, "__init__", counted)
    assert close(metric(wobbly()), whole)
    assert max(held) <= background.HELD
