"""Quantus's calls with our definitions, and what Quantus 0.6 gets wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nucleoscope.compat import quantus
from nucleoscope.evaluate import Background
from tests.evaluate.closed_forms import UNIFORM, Additive, letters

N, L = 150, 19  # more than two of Quantus's batches
X = letters(N, L).float()
MODEL = Additive(L).float()
EXACT = MODEL.exact(X).detach().numpy()
ZEROS = np.zeros(N, int)
MASK = np.zeros((N, 1, L))
MASK[:, :, 3:8] = 1


class Classes(nn.Module):
    """Three outputs, each an additive model of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.each = nn.ModuleList(Additive(L, seed).float() for seed in range(3))

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.cat([model(inputs) for model in self.each], 1)

    def exact(self, inputs: Tensor, targets: Any) -> Tensor:
        rows = torch.stack([model.exact(inputs) for model in self.each])
        return rows[torch.as_tensor(targets), torch.arange(len(inputs))]


def explain(model: Any, inputs: Any, targets: Any, scale: float = 1.0) -> Any:
    assert isinstance(inputs, np.ndarray)
    assert isinstance(targets, np.ndarray)
    assert targets.shape == (len(inputs),)
    return (model.exact(torch.from_numpy(inputs)) * scale).detach().numpy()


def test_exact_attributions_correlate_fully_in_every_batch() -> None:
    """Quantus correlates cumulative changes with single steps, of the first batch alone: 0.6 here."""
    found = quantus.SensitivityN(background=UNIFORM)(MODEL, X.numpy(), ZEROS, EXACT, batch_size=64)
    assert len(found) == N
    assert np.allclose(found, 1, atol=1e-4)


def test_completeness_is_a_gap() -> None:
    """Quantus scales the scores first and compares floats for equality."""
    found = quantus.Completeness(background=UNIFORM)(MODEL, X.numpy(), ZEROS, EXACT)
    assert max(found) < 1e-3
    assert len(set(found)) > 2


def test_scores_do_not_depend_on_other_sequences() -> None:
    """Quantus divides by the largest score of the batch."""
    whole = quantus.RelevanceMassAccuracy()(MODEL, X.numpy(), ZEROS, EXACT, MASK)
    larger = EXACT.copy()
    larger[1:] *= 1000
    assert quantus.RelevanceMassAccuracy()(MODEL, X.numpy(), ZEROS, larger, MASK)[0] == whole[0]
    assert 0 <= min(whole) <= max(whole) <= 1  # Quantus's are signed


def test_every_batch_counts_in_road() -> None:
    found = quantus.ROAD()(MODEL, X.numpy(), ZEROS, EXACT, batch_size=64)
    assert len(found) == N
    assert all(np.isfinite(part).mean() > 0.8 for part in np.array_split(found, 3))


def test_each_sequence_has_its_class() -> None:
    model = Classes().eval()
    targets = np.arange(N) % 3
    scores = model.exact(X, targets).detach().numpy()
    found = quantus.SensitivityN(background=UNIFORM)(model, X.numpy(), targets, scores[:, None])
    assert np.allclose(found, 1, atol=1e-4)
    wrong = quantus.SensitivityN(background=UNIFORM)(model, X.numpy(), (targets + 1) % 3, scores)
    assert np.mean(wrong) < 0.5
    of_softmax = quantus.SensitivityN(background=UNIFORM)(
        model, X.numpy(), targets, scores, softmax=True
    )
    assert 0.3 < np.mean(of_softmax) < 0.999


def test_a_mode_is_put_back() -> None:
    model = nn.Sequential(Additive(L).float(), nn.Dropout(0.5))
    model.train()
    model[0].eval()
    found = quantus.SensitivityN(background=UNIFORM)(model, X.numpy(), ZEROS, EXACT)
    assert np.allclose(found, 1, atol=1e-4)
    assert (model.training, model[0].training, model[1].training) == (True, False, True)


def test_an_explain_func_is_asked_again() -> None:
    found = quantus.MaxSensitivity(by="reverse complement")(
        MODEL, X.numpy(), ZEROS, explain_func=explain, explain_func_kwargs={"scale": 2.0}
    )
    assert len(found) == N
    assert min(found) > 0


@pytest.mark.parametrize("category", list(quantus.AVAILABLE_METRICS))
def test_all_that_is_available(category: str) -> None:
    small = X[:4].numpy()
    for name, kind in quantus.AVAILABLE_METRICS[category].items():
        metric = kind()
        assert metric.evaluation_category == category, name
        assert metric.score_direction in ("higher", "lower")
        found = metric(MODEL, small, ZEROS[:4], EXACT[:4], MASK[:4], explain_func=explain)
        assert len(found) == 4
        assert metric.evaluation_scores == found
        mean = kind(return_aggregate=True)(
            MODEL, small, ZEROS[:4], EXACT[:4], MASK[:4], explain_func=explain
        )
        # NaN where no shift leaves the answer as it is
        assert mean == pytest.approx([np.mean(found)], nan_ok=True)


def test_evaluate_keeps_methods_apart() -> None:
    """Quantus lets the options of one method leak into the next, and prints what fails."""
    given = {
        "scaled": {"explain_func": explain, "explain_func_kwargs": {"scale": -1.0}},
        "alone": explain,
        "array": EXACT,
    }
    metrics = {"s": quantus.SensitivityN(background=UNIFORM), "g": quantus.Sparseness()}
    found = quantus.evaluate(metrics, given, MODEL, X.numpy(), ZEROS, agg_func=np.mean)
    assert list(found) == list(given)
    assert found["scaled"]["s"] == pytest.approx(-1, abs=1e-4)
    assert found["alone"]["s"] == found["array"]["s"] == pytest.approx(1, abs=1e-4)
    with pytest.raises(RuntimeError, match="no scores"):
        quantus.evaluate(metrics, {"breaks": breaks}, MODEL, X.numpy(), ZEROS)
    with pytest.raises(ValueError, match="need an 'explain_func'"):
        quantus.evaluate(metrics, {"m": {}}, MODEL, X.numpy(), ZEROS)


def breaks(model: Any, inputs: Any, targets: Any) -> Any:  # noqa: ARG001
    raise RuntimeError("no scores")


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"a_batch": EXACT[:, :-1]}, ValueError, "a_batch: its shape is"),
        ({"s_batch": MASK[:3]}, ValueError, "s_batch: its shape is"),
        ({"a_batch": None}, ValueError, "a_batch: scores are needed"),
        ({"y_batch": ZEROS[:3]}, ValueError, "y_batch: 3 for x_batch"),
        ({"channel_first": False}, ValueError, "channel_first"),
        ({"custom_batch": 3}, ValueError, "custom_batch"),
        ({"s_batch": MASK * 0}, ValueError, "no position is marked"),
        ({"a_batch": EXACT * np.nan}, ValueError, "NaN or infinite"),
    ],
)  # fmt: skip
def test_bad_input(given: dict[str, Any], error: type[Exception], message: str) -> None:
    asked = {"x_batch": X.numpy(), "y_batch": ZEROS, "a_batch": EXACT}
    with pytest.raises(error, match=message):
        quantus.AUC()(MODEL, **(asked | given))


def test_an_option_that_there_is_not() -> None:
    with pytest.raises(TypeError, match="no option 'segmentation_method'; it has sizes"):
        quantus.SensitivityN(segmentation_method="slic")
    assert quantus.SensitivityN(background=Background("zeros")).metric.background.kind == "zeros"


THEIRS = {
    "FaithfulnessCorrelation", "FaithfulnessEstimate", "PixelFlipping", "RegionPerturbation", "Monotonicity",
    "MonotonicityCorrelation", "Selectivity", "SensitivityN", "IROF", "ROAD", "Infidelity", "Sufficiency",
    "Continuity", "LocalLipschitzEstimate", "MaxSensitivity", "AvgSensitivity", "Consistency", "Focus",
    "RelativeInputStability", "RelativeOutputStability", "RelativeRepresentationStability", "PointingGame",
    "TopKIntersection", "RelevanceMassAccuracy", "RelevanceRankAccuracy", "AttributionLocalisation", "AUC",
    "Sparseness", "Complexity", "EffectiveComplexity", "MPRT", "SmoothMPRT", "EfficientMPRT", "RandomLogit",
    "Completeness", "NonSensitivity", "InputInvariance",
}  # fmt: skip


def test_every_name_of_quantus_is_here_or_told() -> None:
    assert len(THEIRS) == 37
    here = {kind.name for each in quantus.AVAILABLE_METRICS.values() for kind in each.values()}
    assert len(here) == 23
    assert here | set(quantus.NOT_HERE) >= THEIRS
    assert not here & set(quantus.NOT_HERE)
    for name in here:
        assert getattr(quantus, name).name == name
    for name in quantus.NOT_HERE:
        with pytest.raises(AttributeError, match=f"quantus.{name} is not here: it"):
            getattr(quantus, name)
    with pytest.raises(AttributeError, match="has no attribute 'Other'"):
        quantus.Other  # noqa: B018


@pytest.mark.slow
def test_names_are_those_of_quantus() -> None:
    theirs = pytest.importorskip("quantus.helpers.constants").AVAILABLE_METRICS
    assert {kind.__name__ for each in theirs.values() for kind in each.values()} == THEIRS
    for category, each in quantus.AVAILABLE_METRICS.items():
        assert set(each) <= set(theirs[category])
        assert all(kind.name == theirs[category][name].__name__ for name, kind in each.items())


def call(kind: Any, **options: Any) -> Any:
    """On an additive model and its exact map."""
    return np.array(kind(**options)(MODEL, X[:6].numpy(), ZEROS[:6], EXACT[:6], MASK[:6]))


def test_options_of_quantus_in_our_words() -> None:
    for theirs, mine in (
        (call(quantus.FaithfulnessCorrelation, subset_size=5, nr_runs=40, perturb_baseline="mean"),
         call(quantus.SensitivityN, at=(5,), subsets=40, background=UNIFORM)),
        (call(quantus.FaithfulnessEstimate, features_in_step=3), call(quantus.SensitivityN, at=(3,), subsets=100)),
        (call(quantus.PixelFlipping, features_in_step=5, perturb_baseline="black"),
         call(quantus.PixelFlipping, steps=4, background=Background("zeros"))),
        (call(quantus.RegionPerturbation, patch_size=4), call(quantus.PixelFlipping, patch=4, steps=5)),
        (call(quantus.Selectivity), call(quantus.RegionPerturbation, order="morf")),
        (call(quantus.SensitivityN, features_in_step=4), call(quantus.SensitivityN, at=(4, 8, 12))),
        (call(quantus.SensitivityN, n_max_percentage=0.5), call(quantus.SensitivityN, most=0.5)),
        (call(quantus.SensitivityN, features_in_step=np.int64(4), n_max_percentage=0.5),
         call(quantus.SensitivityN, at=(4, 8))),
        (call(quantus.PixelFlipping, features_in_step=L), call(quantus.PixelFlipping, steps=1)),
        (call(quantus.Selectivity, patch_size=np.int32(4)), call(quantus.PixelFlipping, patch=4, steps=5)),
        (call(quantus.MonotonicityCorrelation, nr_samples=3),
         call(quantus.MonotonicityCorrelation, background=Background(draws=3))),
        (call(quantus.ROAD, percentages=[20, 60]), call(quantus.ROAD, shares=(0.2, 0.6))),
        (call(quantus.Infidelity, n_perturb_samples=9, loss_func="mse"), call(quantus.Infidelity, edits=9)),
        (call(quantus.TopKIntersection, k=3), call(quantus.RelevanceRankAccuracy, top=3)),
        (call(quantus.AttributionLocalisation), call(quantus.RelevanceMassAccuracy, abs=False)),
        (call(quantus.AUC, abs=True, normalise=True, disable_warnings=True), call(quantus.AUC)),
    ):  # fmt: skip
        assert np.array_equal(theirs, mine, equal_nan=True)


def test_a_constructors_seed_is_the_calls() -> None:
    """Its own decides where both are there."""
    given = (MODEL, X[:6].numpy(), ZEROS[:6])
    by_hand = quantus.MPRT()(*given, explain_func=explain, seed=3)
    assert quantus.MPRT(seed=3, layer_order="top_down")(*given, explain_func=explain) == by_hand
    assert quantus.MPRT(seed=5)(*given, explain_func=explain, seed=3) == by_hand
    assert quantus.MPRT(seed=5)(*given, explain_func=explain) != by_hand


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (quantus.PixelFlipping, {"perturb_baseline": "white"}, "'mean' .0.25. equal parts"),
        (quantus.PixelFlipping, {"perturb_func": print}, "replaced by letters"),
        (quantus.PixelFlipping, {"features_in_step": 0}, "features_in_step=0.: positions are counted"),
        (quantus.PixelFlipping, {"features_in_step": True}, "features_in_step=True.: positions are counted"),
        (quantus.Selectivity, {"patch_size": 0}, "patch_size=0.: positions are counted here, from 1 to"),
        (quantus.PixelFlipping, {"similarity_func": print}, "that of the metric's source"),
        (quantus.RegionPerturbation, {"order": "lerf"}, "ABPC has both"),
        (quantus.MaxSensitivity, {"lower_bound": 0.1}, "not blurred"),
        (quantus.Completeness, {"normalise": True}, "another size"),
        (quantus.AUC, {"normalise_func": print}, "as it is to be judged"),
        (quantus.MPRT, {"layer_order": "bottom_up"}, "from the last layer on"),
        (quantus.Sparseness, {"abs": False}, "of .scores."),
        (quantus.TopKIntersection, {"k": 0}, "top=0"),
        (quantus.AttributionLocalisation, {"positive_attributions": False}, "from 0 to 1"),
    ],
)  # fmt: skip
def test_options_that_mean_nothing_on_letters(kind: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**options)


def test_options_are_held_against_the_sequences() -> None:
    with pytest.raises(
        ValueError, match=r"subset_size=224.: positions are counted here, from 1 to 18"
    ):
        call(quantus.FaithfulnessCorrelation, subset_size=224)
    with pytest.raises(ValueError, match="step=10: sets hold at most 5 of 19 positions"):
        call(quantus.SensitivityN, features_in_step=10, n_max_percentage=0.3)


def test_one_calls_keywords_are_not_several_calls() -> None:
    """Of which one is a dictionary itself, that goes to the method."""
    metrics = {"s": quantus.SensitivityN(background=UNIFORM)}
    methods = {
        "plain": explain,
        "twice": {"explain_func": explain, "explain_func_kwargs": {"scale": 2.0}},
        "IntegratedGradients": {"n_steps": 4, "baselines": "uniform"},
    }
    given = (MODEL, X[:5].numpy(), ZEROS[:5])
    turned = {"explain_func_kwargs": {"scale": -1.0}}
    mine = {name: methods[name] for name in ("plain", "twice")}
    for found in quantus.evaluate(
        metrics, mine, *given, agg_func=np.mean, call_kwargs=turned
    ).values():
        assert found["s"] == pytest.approx(-1, abs=1e-4)
    named = quantus.evaluate(
        metrics, mine, *given, agg_func=np.mean, call_kwargs={"as it is": {}, "turned": turned}
    )["plain"]["s"]
    assert named == {
        "as it is": pytest.approx(1, abs=1e-4),
        "turned": pytest.approx(-1, abs=1e-4),
    }
    steps = {"explain_func_kwargs": {"n_steps": 5}}
    found = quantus.evaluate(
        metrics, {"IntegratedGradients": methods["IntegratedGradients"]}, *given, call_kwargs=steps
    )
    assert np.allclose(found["IntegratedGradients"]["s"], 1, atol=1e-4)
    for wrong, message in (
        ({"softmax": True, "other": {}}, "'softmax' does not go with other"),
        ({"explain_func_kwargs": {}, "other": {}}, "'explain_func_kwargs' does not go with other"),
        ({"steps": 3}, "'steps' does not go with 3; give one call's keywords .channel_first"),
        ({"soft": {"steps": 3}}, "call_kwargs.'soft'.: a call has no keyword 'steps'"),
    ):
        with pytest.raises(ValueError, match=message):
            quantus.evaluate(metrics, mine, *given, call_kwargs=wrong)


def test_methods_by_name_and_their_options() -> None:
    """Quantus's dictionary of dictionaries: the name says which, and all else are its options."""
    methods = {
        "IntegratedGradients": {"n_steps": 4, "xai_lib": "captum", "baselines": "uniform"},
        "mine": {"method": "integrated_gradients"},
        "edits": {"method": "mutagenesis"},
    }
    metrics = {"s": quantus.SensitivityN(background=UNIFORM)}
    given = (MODEL, X[:5].numpy(), ZEROS[:5])
    found = quantus.evaluate(
        metrics, methods, *given, agg_func=np.mean, progress=True, verbose=False
    )
    for method in methods:
        assert found[method]["s"] == pytest.approx(1, abs=1e-4)
    calls = {"hard": {"softmax": True}, "soft": {}}
    several = quantus.evaluate(
        metrics, {"array": EXACT[:5]}, *given, agg_func=np.mean, call_kwargs=calls
    )
    assert set(several["array"]["s"]) == {"hard", "soft"}
    assert several["array"]["s"]["soft"] == pytest.approx(1, abs=1e-4)
    alone = quantus.evaluate(metrics, {"array": EXACT[:5]}, *given, call_kwargs={"only": {}})
    assert len(alone["array"]["s"]) == 5
    for wrong, message in (
        ({"Lime": {}}, "no method of that name: there are IntegratedGradients"),
        ({"Saliency": {"xai_lib": "zennit"}}, "of xai_lib there is 'captum'"),
    ):
        with pytest.raises(ValueError, match=message):
            quantus.evaluate(metrics, wrong, *given)
    with pytest.raises(ValueError, match="return_as_df"):
        quantus.evaluate(metrics, {"array": EXACT[:5]}, *given, return_as_df=True)
