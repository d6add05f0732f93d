"""Quantus 0.6's names: those that metrics of ours answer, and of the others what is wrong or what to take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nucleoscope.compat.quantus.metric import Metric
from nucleoscope.compat.quantus.options import (
    ABSOLUTE,
    EDITS,
    LAYERS,
    LOOKS,
    NOISE,
    SIGNED,
    SIZED,
    Meaning,
    called,
    draws_of,
    one_size,
    only,
    patches,
    percentages,
    sizes_of,
    steps_of,
)
from nucleoscope.evaluate import metrics as ours


def _named(
    kind: Callable[..., Any], name: str, category: str, *meant: Mapping[str, Meaning], **defaults: Any
) -> type[Metric]:  # fmt: skip
    higher = getattr(kind, "higher_is_better")  # noqa: B009 (of a class, which mypy takes for a function)
    options = {key: meaning for each in (LOOKS, *meant) for key, meaning in each.items()}
    return type(name, (Metric,), {
        "kind": staticmethod(kind), "name": name, "evaluation_category": category, "meant": options,
        "defaults": defaults, "score_direction": "higher" if higher else "lower", "__doc__": kind.__doc__,
        "__module__": __name__,
    })  # fmt: skip


_FAITHFUL, _ROBUST, _WHERE = "Faithfulness", "Robustness", "Localisation"
_PLAIN = only(False, why="positions count alike, whatever the size of their mask or score")

FaithfulnessCorrelation = _named(
    ours.SensitivityN, "FaithfulnessCorrelation", _FAITHFUL, SIGNED, EDITS,
    {"nr_runs": called("subsets"), "subset_size": one_size}, nr_runs=100, subset_size=None,
)  # fmt: skip
FaithfulnessEstimate = _named(
    ours.SensitivityN, "FaithfulnessEstimate", _FAITHFUL, SIGNED, EDITS,
    {"features_in_step": one_size}, subsets=100, features_in_step=1,
)  # fmt: skip
PixelFlipping = _named(
    ours.Deletion, "PixelFlipping", _FAITHFUL, SIGNED, EDITS,
    {
        "features_in_step": steps_of,
        "return_auc_per_sample": only(True, why="the area of each sequence's curve is given"),
    },
)  # fmt: skip
RegionPerturbation = _named(
    ours.Deletion, "RegionPerturbation", _FAITHFUL, SIGNED, EDITS,
    {
        "patch_size": patches,
        "order": only("morf", why="the most relevant goes first; nucleoscope's ABPC has both orders"),
        "regions_evaluation": only(None, why="all regions go; leave it out"),
    },
    patch_size=8,
)  # fmt: skip
Selectivity = _named(
    ours.Deletion, "Selectivity", _FAITHFUL, SIGNED, EDITS, {"patch_size": patches}, patch_size=8
)
Monotonicity = _named(
    ours.Monotonicity, "Monotonicity", _FAITHFUL, SIGNED, EDITS, {"features_in_step": steps_of}
)
MonotonicityCorrelation = _named(
    ours.MonotonicityCorrelation, "MonotonicityCorrelation", _FAITHFUL, SIZED, EDITS,
    {
        "nr_samples": draws_of,
        "features_in_step": only(1, why="positions are replaced one by one"),
        "eps": only(None, why="nothing is divided by the answer, so nothing is added to it"),
    },
)  # fmt: skip
SensitivityN = _named(
    ours.SensitivityN, "SensitivityN", _FAITHFUL, SIGNED, EDITS,
    {"n_max_percentage": called("most"), "features_in_step": sizes_of},
)  # fmt: skip
ROAD = _named(ours.ROAD, "ROAD", _FAITHFUL, SIGNED, {
    "percentages": percentages,
    "perturb_func": only(None, why="what is removed is filled from its neighbours"),
    "perturb_func_kwargs": only(None, why="there is no perturb_func to take them"),
})  # fmt: skip
Infidelity = _named(ours.Infidelity, "Infidelity", _FAITHFUL, SIGNED, EDITS, {
    "n_perturb_samples": called("edits"),
    "loss_func": only("mse", why="infidelity is a mean square ('mse')"),
    "perturb_patch_sizes": only(None, why="widths of blocks are drawn, from 1 to a quarter of the length"),
})  # fmt: skip
MaxSensitivity = _named(ours.MaxSensitivity, "MaxSensitivity", _ROBUST, SIGNED, NOISE)
AvgSensitivity = _named(ours.AvgSensitivity, "AvgSensitivity", _ROBUST, SIGNED, NOISE)
PointingGame = _named(ours.PointingGame, "PointingGame", _WHERE, ABSOLUTE, {"weighted": _PLAIN})
TopKIntersection = _named(ours.RelevanceRank, "TopKIntersection", _WHERE, ABSOLUTE, {
    "k": called("top"), "concept_influence": _PLAIN,
})  # fmt: skip
RelevanceMassAccuracy = _named(ours.RelevanceMass, "RelevanceMassAccuracy", _WHERE, ABSOLUTE)
RelevanceRankAccuracy = _named(ours.RelevanceRank, "RelevanceRankAccuracy", _WHERE, ABSOLUTE)
AttributionLocalisation = _named(
    ours.RelevanceMass, "AttributionLocalisation", _WHERE, ABSOLUTE,
    {
        "weighted": _PLAIN,
        "max_size": only(1.0, why="every mask counts"),
        "positive_attributions": only(True, why="a share is of the scores that are not negative, so from 0 to 1"),
    },
    absolute=False,
)  # fmt: skip
AUC = _named(ours.AUROC, "AUC", _WHERE, ABSOLUTE)
Sparseness = _named(ours.Sparseness, "Sparseness", "Complexity", SIZED)
Complexity = _named(ours.Complexity, "Complexity", "Complexity", SIZED)
MPRT = _named(ours.MPRT, "MPRT", "Randomisation", SIZED, LAYERS)
ModelParameterRandomisation = MPRT  # as Quantus called it before
EfficientMPRT = _named(ours.EfficientMPRT, "EfficientMPRT", "Randomisation", SIGNED, {
    "seed": LAYERS["seed"],
    "skip_layers": only(True, why="all layers are redrawn at once"),
    "compute_extra_scores": only(False, why="there is one score"),
    "complexity_func": only(None, why="the complexity is the entropy of the map's histogram"),
    "complexity_func_kwargs": only(None, why="give bins"),
})  # fmt: skip
Completeness = _named(ours.Completeness, "Completeness", "Axiomatic", SIGNED, EDITS, {
    "normalise": only(False, why="scores of another size add up to something else"),
    "output_func": only(None, why="the gap is that of the output; put a function behind the model"),
})  # fmt: skip

AVAILABLE_METRICS: Mapping[str, Mapping[str, type[Metric]]] = {
    "Faithfulness": {
        "Faithfulness Correlation": FaithfulnessCorrelation, "Faithfulness Estimate": FaithfulnessEstimate,
        "Pixel-Flipping": PixelFlipping, "Region Segmentation": RegionPerturbation,
        "Monotonicity-Arya": Monotonicity, "Monotonicity-Nguyen": MonotonicityCorrelation,
        "Selectivity": Selectivity, "SensitivityN": SensitivityN, "ROAD": ROAD, "Infidelity": Infidelity,
    },
    "Robustness": {"Max-Sensitivity": MaxSensitivity, "Avg-Sensitivity": AvgSensitivity},
    "Localisation": {
        "Pointing Game": PointingGame, "Top-K Intersection": TopKIntersection,
        "Relevance Mass Accuracy": RelevanceMassAccuracy, "Relevance Rank Accuracy": RelevanceRankAccuracy,
        "Attribution Localisation ": AttributionLocalisation, "AUC": AUC,
    },
    "Complexity": {"Sparseness": Sparseness, "Complexity": Complexity},
    "Randomisation": {"MPRT": MPRT, "Efficient MPRT": EfficientMPRT},
    "Axiomatic": {"Completeness": Completeness},
}  # fmt: skip

_OFF = "it adds noise to one-hot letters, and what it asks about is no sequence"
NOT_HERE: Mapping[str, str] = {
    "IROF": "its segments are an image's superpixels; take RegionPerturbation(patch_size=...)",
    "Sufficiency": "it asks whether maps that are alike have one class, which numbers have not",
    "BatchSufficiency": "it asks whether maps that are alike have one class; none here asks that",
    "Continuity": "it moves an image by pixels and divides by their distance; take MaxSensitivity(by='shift')",
    "LocalLipschitzEstimate": f"{_OFF}; take MaxSensitivity(by='substitution')",
    "Consistency": "it compares maps' labels within a batch, which so decides the score; none here asks that",
    "RelativeInputStability": "it divides by the input, 0 in three of four letters; take MaxSensitivity",
    "RelativeOutputStability": f"{_OFF}; take MaxSensitivity, which leaves out shifts that move the answer",
    "RelativeRepresentationStability": f"{_OFF}, and layers have no unit; take MaxSensitivity",
    "Focus": "it asks about mosaics of images; take RelevanceMassAccuracy on planted motifs (evaluate.truth)",
    "EffectiveComplexity": "it counts scores above a number, so that their unit decides; take exp(Complexity)",
    "SmoothMPRT": "its noise leaves the letters; take MPRT of an explainer that averages (smooth_grad)",
    "RandomLogit": "it compares maps of two outputs, which here are two calls with another y_batch",
    "NonSensitivity": "it compares floats with 0; take MonotonicityCorrelation or FaithfulnessEstimate",
    "InputInvariance": "it adds a number to all letters, which is no sequence; take evaluate's OffSimplexAngle",
}  # fmt: skip
