"""Many methods by many metrics in one call, as Quantus's `evaluate`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from nucleoscope.compat import captum
from nucleoscope.compat.quantus.metric import Array, Metric
from nucleoscope.evaluate.explainers import OURS, RANDOM, ours
from nucleoscope.evaluate.others import of_captum

CAPTUMS = {
    each: getattr(captum, each)
    for each in ("IntegratedGradients", "Saliency", "InputXGradient", "DeepLift", "DeepLiftShap", "GradientShap")
}  # fmt: skip
KEYWORDS = tuple(  # of a metric's call, but for what `evaluate` gives itself
    name
    for name in inspect.signature(Metric.__call__).parameters
    if name not in ("self", "model", "x_batch", "y_batch", "a_batch", "s_batch")
)
DICTIONARIES = (
    "explain_func_kwargs",
    "model_predict_kwargs",
)  # those whose values are dictionaries


def evaluate(
    metrics: Mapping[str, Metric], xai_methods: Mapping[str, Any], model: nn.Module, x_batch: Array,
    y_batch: Array, s_batch: Array | None = None, agg_func: Callable[[Any], Any] = lambda scores: scores,
    explain_func_kwargs: Mapping[str, Any] | None = None, call_kwargs: Mapping[str, Any] | None = None,
    return_as_df: bool | None = None, verbose: bool | None = None, progress: bool | None = None,  # noqa: ARG001
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """``results[method][metric]``: every metric of every method, what `agg_func` makes of its numbers.

    xai_methods: by name a function of (model, inputs, targets), an array of scores, a dictionary with
    ``"explain_func"`` and ``"explain_func_kwargs"``, or a dictionary of options of the method that the name says
    (``"method"``, where it is there): one of captum's, ``{"IntegratedGradients": {"n_steps": 10}}``, by
    `nucleoscope.compat.captum`, or one of ours, ``{"mutagenesis": {}}``. explain_func_kwargs: for the functions
    that come alone; those of a dictionary are its own, and no other method's. call_kwargs: for each metric's call;
    or several by name, ``{"hard": {"softmax": True}, "soft": {}}``, and then of more than one it is
    ``results[method][metric][name]``. Its ``explain_func_kwargs`` are added to the method's.
    verbose, progress: nothing is printed.

    Raises ValueError for what cannot be meant, and what a method or a metric raises: none is printed and left out.
    """
    if return_as_df:
        raise ValueError("return_as_df: pandas.DataFrame(results) makes one of what is returned")
    calls = _calls(call_kwargs)
    results: dict[str, dict[str, Any]] = {}
    for method, given in xai_methods.items():
        asked = _asked(method, given, explain_func_kwargs)
        results[method] = {}
        for name, metric in metrics.items():
            found = {
                call: agg_func(
                    metric(model, x_batch, y_batch, s_batch=s_batch, **_both(asked, options))
                )
                for call, options in calls.items()
            }
            results[method][name] = found if len(found) > 1 else next(iter(found.values()))
    return results


def _calls(given: Mapping[str, Any] | None) -> Mapping[str, Mapping[str, Any]]:
    """By name, what a metric's call is given; one of no name where it is one call's keywords."""
    given = given or {}
    if all(_is_keyword(name, value) for name, value in given.items()):
        return {"": given}
    for name, value in given.items():
        if name in DICTIONARIES or not isinstance(value, Mapping):
            others = ", ".join(each for each in given if each != name) or repr(value)
            raise ValueError(
                f"call_kwargs: {name!r} does not go with {others}; "
                f"give one call's keywords ({', '.join(KEYWORDS)}), or dictionaries of them by names of your own"
            )
        for key in value:
            if key not in KEYWORDS:
                raise ValueError(
                    f"call_kwargs[{name!r}]: a call has no keyword {key!r}; it has {', '.join(KEYWORDS)}"
                )
    return given


def _is_keyword(name: str, value: Any) -> bool:
    return name in KEYWORDS and (name in DICTIONARIES or not isinstance(value, Mapping))


def _both(asked: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The method's keywords and the call's, which decide."""
    more = [each.get("explain_func_kwargs") or {} for each in (asked, options)]
    return {**asked, **options, "explain_func_kwargs": {**more[0], **more[1]}}


def _asked(
    method: str, given: Any, explain_func_kwargs: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What a metric is called with."""
    if callable(given):
        return {"explain_func": given, "explain_func_kwargs": explain_func_kwargs}
    if not isinstance(given, Mapping):
        return {"a_batch": given}
    if "explain_func" in given:
        return {
            "explain_func": given["explain_func"],
            "explain_func_kwargs": given.get("explain_func_kwargs"),
        }
    options = dict(given)
    if options.pop("xai_lib", "captum") != "captum":
        raise ValueError(
            f"xai_methods[{method!r}]: of xai_lib there is 'captum'; give others as a function, 'explain_func'"
        )
    return {"explain_func": _by_name(options.pop("method", method), options)}


def _by_name(name: str, options: dict[str, Any]) -> Callable[..., Any]:
    """One of captum's methods, or one of ours."""
    if name in CAPTUMS:
        made = of_captum(CAPTUMS[name], **options)
    elif name in (*OURS, RANDOM):
        made = ours(name, **options)
    else:
        raise ValueError(
            f"xai_methods[{name!r}]: no method of that name: there are {', '.join([*CAPTUMS, *OURS, RANDOM])}; "
            "others need an 'explain_func' in their dictionary, or come as a function or an array"
        )
    return made
