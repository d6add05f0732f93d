"""Metrics called as Quantus calls them, with nucleoscope's definitions behind them.

    from nucleoscope.compat import quantus
    scores = quantus.SensitivityN()(model, x_batch, y_batch, a_batch, device="cpu")

What is called and returned is Quantus 0.6's: arrays in, a list of one number a sequence out. What is computed is
not, where that differs from what the metric's source defines: positions and not channels of positions are
replaced, by letters of a background and not by a constant; sensitivity-n correlates over sets and counts every
batch; scores of a sequence do not depend on the others; completeness is a gap and no equality of floats.
`softmax` is off unless asked for.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from nucleoscope.evaluate import metrics as ours
from nucleoscope.evaluate.case import Case, Explained
from nucleoscope.evaluate.data import Data
from nucleoscope.evaluate.explainers import Explainer

Array = Any  # numpy arrays or tensors


class Metric:
    """A metric of nucleoscope under Quantus's name; its options are those of `kind`."""

    kind: ClassVar[Callable[..., Any]]
    name: ClassVar[str]
    evaluation_category: ClassVar[str]
    score_direction: ClassVar[str]
    data_applicability: ClassVar[set[str]] = {"timeseries"}
    model_applicability: ClassVar[set[str]] = {"torch"}

    def __init__(
        self, *, return_aggregate: bool = False, aggregate_func: Callable[[Any], Any] = np.mean, **options: Any
    ) -> None:  # fmt: skip
        """Raises TypeError for options that the metric has not got."""
        taken = list(inspect.signature(type(self).kind).parameters)
        if unknown := [name for name in options if name not in taken]:
            raise TypeError(
                f"{type(self).__name__}: it has no option {unknown[0]!r}; it has {', '.join(taken) or 'none'}"
            )
        self.metric = type(self).kind(**options)
        self.return_aggregate, self.aggregate_func = return_aggregate, aggregate_func
        self.evaluation_scores: list[float] = []
        self.all_evaluation_scores: list[float] = []

    def __call__(
        self, model: nn.Module, x_batch: Array, y_batch: Array, a_batch: Array | None = None,
        s_batch: Array | None = None, channel_first: bool | None = None,
        explain_func: Callable[..., Any] | None = None, explain_func_kwargs: Mapping[str, Any] | None = None,
        model_predict_kwargs: Mapping[str, Any] | None = None,
        softmax: bool | None = None, device: str | None = None, batch_size: int = 64, custom_batch: Any = None,
        *, seed: int = 0,
    ) -> list[float]:  # fmt: skip
        """A number for each sequence, NaN where it is undefined; aggregated where that was asked for.

        x_batch: ``[N, 4, L]`` one-hot. y_batch: the output that is explained, of each sequence. a_batch: scores
        ``[N, L]``, ``[N, 1, L]`` or ``[N, 4, L]``, whose letters are added up; without it `explain_func` is
        asked. s_batch: masks of the same shapes. The model is asked in eval mode and left as it was.

        Raises TypeError or ValueError for what cannot be meant, and whatever explain_func raises.
        """
        for name, given in (
            ("model_predict_kwargs", model_predict_kwargs),
            ("custom_batch", custom_batch),
        ):
            if given:
                raise ValueError(f"{name}: nothing is done with it here; leave it out")
        if channel_first is False:
            raise ValueError("channel_first=False: sequences are [N, 4, L] here")
        if a_batch is None and explain_func is None:
            raise ValueError("a_batch: scores are needed, or an explain_func that makes them")
        X, targets = _tensor(x_batch).float(), _tensor(y_batch).long().reshape(-1)
        if X.ndim != 3 or len(targets) != len(X):
            raise ValueError(
                f"y_batch: {len(targets)} for x_batch of shape {tuple(X.shape)}; one for each sequence"
            )
        scores, masks = _flat("a_batch", a_batch, X), _flat("s_batch", s_batch, X)
        explainer = (
            None if explain_func is None else _explainer(explain_func, explain_func_kwargs, device)
        )
        made = torch.full((len(X),), torch.nan, dtype=torch.float64)
        with _Asked(model, softmax, device) as asked:
            for target in targets.unique().tolist():
                rows = (targets == target).nonzero()[:, 0]
                data = Data(X[rows], target, None if masks is None else masks[rows] != 0)
                case = _case(
                    asked,
                    data,
                    None if scores is None else scores[rows],
                    explainer,
                    seed,
                    batch_size,
                )
                made[rows] = self.metric(case)
        self.evaluation_scores = made.tolist()
        if self.return_aggregate:
            self.evaluation_scores = [self.aggregate_func(self.evaluation_scores)]
        self.all_evaluation_scores += self.evaluation_scores
        return self.evaluation_scores


class _Asked(nn.Module):
    """The model in eval mode, with a softmax behind it where one is asked for; put back on leaving."""

    def __init__(self, model: nn.Module, softmax: bool | None, device: str | None) -> None:
        super().__init__()
        self.model, self.softmax = model if device is None else model.to(device), bool(softmax)
        self.modes = [each.training for each in model.modules()]

    def forward(self, X: Tensor) -> Tensor:
        made: Tensor = self.model(X)
        return made.softmax(-1) if self.softmax else made

    def __enter__(self) -> _Asked:
        self.eval()
        return self

    def __exit__(self, *_: object) -> None:
        for each, mode in zip(self.model.modules(), self.modes, strict=True):
            each.training = mode


def _tensor(given: Array) -> Tensor:
    return given.detach().cpu() if isinstance(given, Tensor) else torch.as_tensor(np.asarray(given))


def _flat(name: str, given: Array | None, X: Tensor) -> Tensor | None:
    """[N, L] of scores or masks."""
    if given is None:
        return None
    made = _tensor(given)
    count, size, length = X.shape
    if tuple(made.shape) not in ((count, length), (count, 1, length), (count, size, length)):
        raise ValueError(
            f"{name}: its shape is {tuple(made.shape)}; it must be {(count, length)}, {(count, 1, length)} or "
            f"{(count, size, length)}"
        )
    return made.double() if made.ndim == 2 else made.double().sum(1)


def _explainer(
    call: Callable[..., Any], options: Mapping[str, Any] | None, device: str | None
) -> Explainer:
    """Called with what it can take of Quantus's own keywords; `device` among them."""
    given = dict(options or {})
    taken = inspect.signature(call).parameters
    if device is not None and "device" in taken:
        given.setdefault("device", device)

    def explain(model: Any, inputs: Tensor, targets: Any, **more: Any) -> Any:
        inner = (
            model.model if isinstance(model, _Asked) else model
        )  # it is the user's own that is explained
        made = call(model=inner, inputs=inputs.cpu().numpy(), targets=np.asarray(targets), **more)
        return made[:, 0] if getattr(made, "ndim", 0) == 3 and made.shape[1] == 1 else made

    return Explainer(explain, given)


def _case(
    model: nn.Module, data: Data, scores: Tensor | None, explainer: Explainer | None, seed: int, batch_size: int
) -> Case:  # fmt: skip
    def again(asked: Any, X: Tensor) -> Explained:
        assert explainer is not None
        return explainer(asked, X, data.target, seed)

    found = again(model, data.X) if scores is None else Explained.read(scores, data.X)
    return Case(model, data, found, None if explainer is None else again, seed, batch_size)


def _named(kind: Callable[..., Any], name: str, category: str) -> type[Metric]:
    higher = getattr(kind, "higher_is_better")  # noqa: B009 (of a class, which mypy takes for a function)
    return type(name, (Metric,), {
        "kind": staticmethod(kind), "name": name, "evaluation_category": category,
        "score_direction": "higher" if higher else "lower", "__doc__": kind.__doc__, "__module__": __name__,
    })  # fmt: skip


PixelFlipping = _named(ours.Deletion, "PixelFlipping", "Faithfulness")
Monotonicity = _named(ours.Monotonicity, "Monotonicity", "Faithfulness")
MonotonicityCorrelation = _named(
    ours.MonotonicityCorrelation, "MonotonicityCorrelation", "Faithfulness"
)
SensitivityN = _named(ours.SensitivityN, "SensitivityN", "Faithfulness")
ROAD = _named(ours.ROAD, "ROAD", "Faithfulness")
Infidelity = _named(ours.Infidelity, "Infidelity", "Faithfulness")
MaxSensitivity = _named(ours.MaxSensitivity, "MaxSensitivity", "Robustness")
PointingGame = _named(ours.PointingGame, "PointingGame", "Localisation")
RelevanceMassAccuracy = _named(ours.RelevanceMass, "RelevanceMassAccuracy", "Localisation")
RelevanceRankAccuracy = _named(ours.RelevanceRank, "RelevanceRankAccuracy", "Localisation")
AUC = _named(ours.AUROC, "AUC", "Localisation")
Sparseness = _named(ours.Sparseness, "Sparseness", "Complexity")
Complexity = _named(ours.Complexity, "Complexity", "Complexity")
MPRT = _named(ours.MPRT, "MPRT", "Randomisation")
EfficientMPRT = _named(ours.EfficientMPRT, "EfficientMPRT", "Randomisation")
Completeness = _named(ours.Completeness, "Completeness", "Axiomatic")

AVAILABLE_METRICS: Mapping[str, Mapping[str, type[Metric]]] = {
    "Faithfulness": {
        "Pixel-Flipping": PixelFlipping, "Monotonicity-Arya": Monotonicity,
        "Monotonicity-Nguyen": MonotonicityCorrelation,
        "SensitivityN": SensitivityN, "ROAD": ROAD, "Infidelity": Infidelity,
    },
    "Robustness": {"Max-Sensitivity": MaxSensitivity},
    "Localisation": {
        "Pointing Game": PointingGame, "Relevance Mass Accuracy": RelevanceMassAccuracy,
        "Relevance Rank Accuracy": RelevanceRankAccuracy, "AUC": AUC,
    },
    "Complexity": {"Sparseness": Sparseness, "Complexity": Complexity},
    "Randomisation": {"MPRT": MPRT, "Efficient MPRT": EfficientMPRT},
    "Axiomatic": {"Completeness": Completeness},
}  # fmt: skip


def evaluate(
    metrics: Mapping[str, Metric], xai_methods: Mapping[str, Any], model: nn.Module, x_batch: Array,
    y_batch: Array, s_batch: Array | None = None, agg_func: Callable[[Any], Any] = lambda scores: scores,
    explain_func_kwargs: Mapping[str, Any] | None = None, call_kwargs: Mapping[str, Any] | None = None,
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """``results[method][metric]``: every metric of every method, what `agg_func` makes of its numbers.

    xai_methods: by name a function of (model, inputs, targets), an array of scores, or a dictionary with
    ``"explain_func"`` and ``"explain_func_kwargs"``. explain_func_kwargs: for the functions that come alone;
    those of a dictionary are its own, and no other method's. call_kwargs: for each metric's call.

    Raises what a method or a metric raises: nothing is printed and left out.
    """
    results: dict[str, dict[str, Any]] = {}
    for method, given in xai_methods.items():
        asked: dict[str, Any] = {}
        if isinstance(given, Mapping):
            if "explain_func" not in given:
                raise ValueError(f"xai_methods[{method!r}]: a dictionary needs an 'explain_func'")
            asked = {
                "explain_func": given["explain_func"],
                "explain_func_kwargs": given.get("explain_func_kwargs"),
            }
        elif callable(given):
            asked = {"explain_func": given, "explain_func_kwargs": explain_func_kwargs}
        else:
            asked = {"a_batch": given}
        results[method] = {
            name: agg_func(
                metric(model, x_batch, y_batch, s_batch=s_batch, **asked, **(call_kwargs or {}))
            )
            for name, metric in metrics.items()
        }
    return results
