"""Methods that know nothing of strands and shifts, asked of several models: the mean of what each says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from nucleoscope.effects import Effects
from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.prepare import ask
from nucleoscope.engine.tracing.cache import in_turn
from nucleoscope.methods.alike import check_alike
from nucleoscope.methods.ensemble import Mean, View, together


def one_by_one(
    models: Sequence[Any], X: Tensor, args: tuple[Tensor, ...] | None, read: Read, settings: dict[str, Any],
    explain: Callable[[Any], Effects],
) -> Effects:  # fmt: skip
    """What is found of each of some models that are alike: the mean, and the spread. Raises as `check_alike`."""
    if len(models) == 1:
        return explain(models[0])
    with in_turn:
        ask(models[0], X, args, start=0, end=None, **settings)
        check_alike(models, X, args, read, settings)
        found = [explain(model) for model in models]
    changes, before = Mean(), Mean()
    for each in found:
        changes.add(each.changes)
        before.add(each.before)
    (mean, spread), (original, _) = changes.result(), before.result()
    said = [each.facts for each in found]
    same = {
        name: value for name, value in said[0].items() if all(f.get(name) == value for f in said)
    }
    checks = tuple(
        replace(check, name=f"{check.name} ({View(at).named(len(models))})")
        for at, each in enumerate(found)
        for check in each.checks
    )
    facts = together(said) | same | {"models": len(models)}
    return Effects(mean, original, found[0].axes, facts, checks, spread)
