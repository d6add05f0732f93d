"""What a benchmark is asked for, checked; each complaint names its argument."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import nn

from nucleoscope.evaluate.content import content
from nucleoscope.evaluate.data import Data
from nucleoscope.evaluate.metrics.metric import Metric


def by_name(what: str, given: Any) -> dict[str, Any]:
    """A mapping, or pairs of names and things, of which none may come twice.

    Raises TypeError for anything else, ValueError for names that come twice.
    """
    pairs = list(given.items()) if isinstance(given, Mapping) else list(given)
    if not pairs or not all(
        isinstance(p, tuple) and len(p) == 2 and isinstance(p[0], str) for p in pairs
    ):
        raise TypeError(f"{what}: a mapping from names to {what}, one at least")
    names = [name for name, _ in pairs]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(
            f"{what}: {', '.join(sorted(map(repr, twice)))} more than once; names tell rows apart"
        )
    return dict(pairs)


def read_models(given: Any) -> dict[str, Any]:
    """Models by name, none in training mode."""
    models = by_name("models", given)
    for name, model in models.items():
        if not callable(model):
            raise TypeError(f"models[{name!r}]: a module or a function, got {type(model).__name__}")
        training = isinstance(model, nn.Module) and [
            n for n, m in model.named_modules() if m.training
        ]
        if training:
            part = f"part {training[-1]!r} of " if training[0] else ""
            raise ValueError(
                f"{part}models[{name!r}] is in training mode, in which dropout and BatchNorm answer otherwise "
                "each time; call .eval() first"
            )
    return models


def read_data(given: Any, names: list[str]) -> dict[str, Data]:
    """The data of each model, by its name; a quality that is stated is one model's."""
    made = dict.fromkeys(names, given) if isinstance(given, Data) else by_name("data", given)
    if wrong := [name for name, each in made.items() if not isinstance(each, Data)]:
        raise TypeError(
            f"data[{wrong[0]!r}]: use evaluate.Data, got {type(made[wrong[0]]).__name__}"
        )
    if lacking := [name for name in names if name not in made]:
        raise ValueError(f"data: none for the model {lacking[0]!r}")
    if unknown := [name for name in made if name not in names]:
        raise ValueError(
            f"data: {unknown[0]!r} is no model; there are {', '.join(map(repr, names))}"
        )
    for each in made.values():
        sharing = [repr(name) for name, other in made.items() if other is each]
        if each.quality is not None and len(sharing) > 1:
            raise ValueError(
                f"data: its quality is stated, of one model, and {' and '.join(sharing)} share it; give each "
                "a Data of its own: dataclasses.replace(data, quality=...)"
            )
    return made


def read_metrics(given: Any) -> dict[str, Metric]:
    """Metrics by name."""
    pairs = (
        given
        if isinstance(given, Mapping)
        else [(getattr(each, "name", None), each) for each in given]
    )
    made = by_name("metrics", pairs)
    for name, each in made.items():
        if not callable(each) or not all(
            hasattr(each, n) for n in ("category", "higher_is_better")
        ):
            raise TypeError(
                f"metrics: {name!r} is no metric; those of nucleoscope.evaluate.metrics are classes: call one"
            )
    return made


def read_seeds(given: Any) -> list[int]:
    """Seeds, each once."""
    seeds = list(given)
    if not seeds or any(isinstance(s, bool) or not isinstance(s, int) or s < 0 for s in seeds):
        raise ValueError(f"seeds={given!r}: whole numbers, 0 or more, one at least")
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds={given!r}: each once; the same seed again says the same again")
    return seeds


def digest(data: Data) -> str:
    """SHA-256 over all that a Data holds: numbers, their types and shapes, and what they are for."""
    return content({each.name: getattr(data, each.name) for each in dataclasses.fields(data)})
