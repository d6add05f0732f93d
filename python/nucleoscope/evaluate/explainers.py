"""Explainers as a benchmark calls them: ours by name, and any function of (model, inputs, targets)."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

import nucleoscope
from nucleoscope.evaluate.case import Explained, home
from nucleoscope.evaluate.content import content
from nucleoscope.evaluate.surroundings import surroundings
from nucleoscope.result import Attribution

OURS: dict[str, dict[str, Any]] = {
    "mutagenesis": {},
    "saliency": {},
    "input_x_gradient": {},
    "smooth_grad": {},
    "integrated_gradients": {"baselines": "uniform"},
    "expected_gradients": {"baselines": "dinucleotide"},
    "deep_lift_shap": {"baselines": "dinucleotide"},
}
RANDOM = "random"  # the control that every explainer must beat


@dataclass(frozen=True)
class Explainer:
    """How scores are come by: ``call(model, inputs, targets, **options)``.

    It returns scores ``[N, L]`` or ``[N, 4, L]``, as tensor or array, or an `Attribution`. hypothetical: whether
    scores of letters that are not there say what these would count there (saliency, tangermeme's
    hypothetical=True), or are parts of what the position counts, to be added up (captum, shap). against: what it
    measures from ("uniform", "zeros", "dinucleotide"), if that is known. seeded: the option that takes the seed.
    """

    call: Callable[..., Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    hypothetical: bool = False
    against: str | None = None
    seeded: str | None = None

    def __call__(self, model: Any, X: Tensor, target: Any, seed: int = 0) -> Explained:
        """Scores, read and checked. Random numbers follow from the seed, torch's, numpy's and Python's own too.

        Raises TypeError or ValueError for what is no explanation, LeftChanged where torch's settings are left
        otherwise, and whatever the call raises.
        """
        options = dict(self.options)
        if self.seeded is not None:
            options[self.seeded] = seed
        device, dtype = home(model, X)
        with surroundings(seed):
            made = self.call(model, X.to(device, dtype), _targets(target, len(X)), **options)
        if isinstance(made, Attribution):
            return _of_attribution(made, X, self.against)
        return Explained.read(made, X, self.hypothetical, against=self.against)

    def __str__(self) -> str:
        """What is called and how, and a digest of all of it, by which a run that goes on knows it again."""
        options = ", ".join(
            f"{name}={_told(value)}" for name, value in sorted(self.options.items())
        )
        held = (self.call, self.options, self.hypothetical, self.against, self.seeded)
        return f"{_called(self.call)}({options}) #{content(held)[:16]}"


def _called(call: Any) -> str:
    if isinstance(call, functools.partial):
        return ".".join(_called(each) for each in call.args or (call.func,) if callable(each))
    return str(getattr(call, "__qualname__", type(call).__name__))


def _told(value: Any) -> str:
    """A value in a line; tensors by their shape, and nothing by where it lies in memory."""
    if isinstance(value, Tensor | np.ndarray):
        return f"{type(value).__name__}{tuple(value.shape)}"
    said = repr(value)
    return _called(value) if " at 0x" in said else said


def _targets(target: Any, count: int) -> Any:
    """A class for each sequence, as functions of others expect it; else the target as it is."""
    return (
        torch.full((count,), target)
        if isinstance(target, int) and not isinstance(target, bool)
        else target
    )


def _of_attribution(made: Attribution, X: Tensor, against: str | None) -> Explained:
    scores = made.of_target()
    if scores.shape[-1] != X.shape[2]:
        raise ValueError(
            f"the explainer returned scores of {scores.shape[-1]} positions; the sequences have {X.shape[2]}"
        )
    bar = None if made.error_bar is None else made.error_bar[:, 0]
    hypothetical = bool(made.facts.get("hypothetical"))
    return Explained.read(scores, X, hypothetical, error_bar=bar, against=against)


def ours(name: str, **options: Any) -> Explainer:
    """One of our own methods by its name: "mutagenesis", "integrated_gradients", ...; or "random" numbers.

    options: as the method takes them; scores of all letters are kept. Raises ValueError for another name.
    """
    if name == RANDOM:
        return Explainer(_random, options)
    if name not in OURS:
        raise ValueError(
            f"{name!r} is no explainer of ours: use one of {', '.join([*OURS, RANDOM])}"
        )
    method = getattr(nucleoscope, "saturation_mutagenesis" if name == "mutagenesis" else name)
    given = {"hypothetical": True, **OURS[name], **options}
    against = given.get("baselines")
    takes_seed = "random_state" in inspect.signature(method).parameters
    return Explainer(
        functools.partial(_method, method), given, False, against if isinstance(against, str) else None,
        "random_state" if takes_seed and "random_state" not in options else None,
    )  # fmt: skip


def _method(
    method: Callable[..., Attribution], model: Any, inputs: Tensor, targets: Any, **options: Any
) -> Attribution:
    _, dtype = home(model, inputs)
    given = {"precision": "fp64" if dtype == torch.float64 else "fp32", **options}
    return method(model, inputs, target=one_target(targets), **given)


def _random(model: Any, inputs: Tensor, targets: Any) -> Tensor:  # noqa: ARG001 (that is the point)
    return torch.randn(inputs.shape[0], inputs.shape[2], dtype=torch.float64)


def one_target(targets: Any) -> Any:
    """The target that all sequences share. Raises ValueError where they have several."""
    if not isinstance(targets, Tensor | np.ndarray):
        return targets
    found = {int(each) for each in targets.reshape(-1)}
    if len(found) != 1:
        raise ValueError(
            f"targets: {len(found)} different ones; this explainer takes one for all sequences"
        )
    return found.pop()


def read_explainers(given: Mapping[str, Any]) -> dict[str, Explainer]:
    """Explainers by name: a name of ours, an `Explainer`, or a function of (model, inputs, targets).

    Raises TypeError or ValueError that names the entry.
    """
    if not isinstance(given, Mapping) or not given:
        raise TypeError("explainers: a mapping from names to explainers, one at least")
    made = {}
    for name, each in given.items():
        if isinstance(each, str):
            made[name] = ours(each)
        elif isinstance(each, Explainer):
            made[name] = each
        elif callable(each):
            made[name] = Explainer(each)
        else:
            raise TypeError(
                f"explainers[{name!r}]: a name of ours, an Explainer, or a function of (model, inputs, "
                f"targets), got {type(each).__name__}"
            )
    return made
