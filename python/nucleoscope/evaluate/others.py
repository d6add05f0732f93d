"""Explainers of captum, tangermeme and shap, wrapped; none of them is imported here."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nucleoscope.engine.answers.read import Read
from nucleoscope.evaluate.explainers import Explainer, one_target


class OneNumber(nn.Module):
    """A model cut down to the number that a target reads: [B, 4, L] -> [B, 1]."""

    def __init__(self, model: Any, target: Any) -> None:
        super().__init__()
        self.model, self.read = model, Read(target)
        self.training = getattr(model, "training", False)  # who puts it back puts the model's back

    def forward(self, X: Tensor) -> Tensor:
        """[B, 4, L] -> [B, 1]."""
        return self.read(self.model(X))


def of_captum(method: Callable[..., Any], against: str | None = None, **options: Any) -> Explainer:
    """An attribution method of captum, as a class: ``of_captum(captum.attr.IntegratedGradients)``.

    options: as its `attribute` takes them; "uniform" and "zeros" are understood as `baselines`, and name what it
    measures from.
    """
    named = options.get("baselines")
    known = against or (named if isinstance(named, str) else None)
    return Explainer(functools.partial(_captum, method), options, False, known)


def _captum(method: Any, model: Any, inputs: Tensor, targets: Any, **options: Any) -> Tensor:
    named = options.get("baselines")
    if isinstance(named, str):
        if named not in ("uniform", "zeros"):
            raise ValueError(f"baselines={named!r}: use 'uniform', 'zeros' or a tensor")
        options["baselines"] = torch.full_like(inputs, 0.25 if named == "uniform" else 0.0)
    made = method(OneNumber(model, one_target(targets)))
    scores = made.attribute(inputs.clone().requires_grad_(), target=0, **options)
    found: Tensor = scores.detach()
    return found


def of_tangermeme(
    function: Callable[..., Any],
    against: str | None = None,
    seeded: str | None = None,
    **options: Any,
) -> Explainer:
    """An explainer of tangermeme, as a function: ``of_tangermeme(tangermeme.deep_lift_shap.deep_lift_shap)``.

    options: as it takes them. seeded: the option that takes the seed ("random_state").
    """
    whole = bool(options.get("hypothetical"))
    return Explainer(functools.partial(_tangermeme, function), options, whole, against, seeded)


def _tangermeme(function: Any, model: Any, inputs: Tensor, targets: Any, **options: Any) -> Tensor:
    cut = OneNumber(model, one_target(targets))
    scores: Tensor = function(cut, inputs, target=0, device=str(inputs.device), **options)
    return scores


def of_shap(
    explainer: Callable[..., Any], background: Tensor | str = "uniform", **options: Any
) -> Explainer:
    """An explainer of shap, as a class: ``of_shap(shap.GradientExplainer, "zeros")``.

    background: what it measures from, ``[K, 4, L]``; or "uniform", equal parts of all letters, or "zeros", N, for
    sequences of any length. options: as its `shap_values` takes them.

    Raises ValueError for another background.
    """
    if isinstance(background, str) and background not in ("uniform", "zeros"):
        raise ValueError(f"background={background!r}: use 'uniform', 'zeros' or a tensor [K, 4, L]")
    against = background if isinstance(background, str) else None
    return Explainer(functools.partial(_shap, explainer, background), options, False, against)


def _shap(
    explainer: Any,
    background: Tensor | str,
    model: Any,
    inputs: Tensor,
    targets: Any,
    **options: Any,
) -> Tensor:
    if isinstance(background, str):
        background = torch.full_like(inputs[:1], 0.25 if background == "uniform" else 0.0)
    made = explainer(OneNumber(model, one_target(targets)), background.to(inputs))
    values = made.shap_values(inputs, **options)
    scores = torch.as_tensor(np.asarray(values[0] if isinstance(values, list) else values))
    return scores.squeeze(-1) if scores.ndim == inputs.ndim + 1 else scores
