"""Methods that know nothing of strands and shifts, asked of several models: the mean of what each says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from torch import Tensor

from nucleoscope.effects import Effects
from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.prepare import ask
from nucleoscope.engine.tracing.cache import in_turn
from nucleoscope.methods.alike import check_alike
from nucleoscope.methods.ensemble import Mean, View, together
from nucleoscope.result import Check

Found = TypeVar("Found")


def one_by_one(
    models: Sequence[Any], X: Tensor, args: tuple[Tensor, ...] | None, read: Read, settings: dict[str, Any],
    explain: Callable[[Any], Effects],
) -> Effects:  # fmt: skip
    """What is found of each of some models that are alike: the mean, and the spread. Raises as `check_alike`."""
    found = each_of(models, X, args, read, settings, explain)
    if len(found) == 1:
        return found[0]
    (mean, spread), (original, _) = (
        averaged([each.changes for each in found]), averaged([each.before for each in found])
    )  # fmt: skip
    facts, checks = facts_of_all(found), checks_of_all(found)
    return Effects(mean, original, found[0].axes, facts, checks, spread)


def each_of(
    models: Sequence[Any], X: Tensor, args: tuple[Tensor, ...] | None, read: Read, settings: dict[str, Any],
    explain: Callable[[Any], Found],
) -> list[Found]:  # fmt: skip
    """What is found of each of some models, which are alike where they are several. Raises as `check_alike`."""
    if len(models) == 1:
        return [explain(models[0])]
    with in_turn:
        ask(models[0], X, args, start=0, end=None, **settings)
        check_alike(models, X, args, read, settings)
        return [explain(model) for model in models]


def averaged(found: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
    """The mean, and the standard deviation (of n - 1); None where there is one."""
    mean = Mean()
    for each in found:
        mean.add(each)
    return mean.result()


def facts_of_all(found: Sequence[Any]) -> dict[str, Any]:
    """What was done of all models: what is the same of each once, and how many there are."""
    said = [each.facts for each in found]
    same = {
        name: value for name, value in said[0].items() if all(f.get(name) == value for f in said)
    }
    return together(said) | same | {"models": len(found)}


def checks_of_all(found: Sequence[Any]) -> tuple[Check, ...]:
    """The checks of all models, each named by its model."""
    return tuple(
        check for at, each in enumerate(found) for check in View(at).checks(each.checks, len(found))
    )
