"""Methods on edits, asked of several models: the mean of what each says."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import torch

from nucleoscope.alphabet import alphabet_of
from nucleoscope.effects import OF_EDITS, OF_PAIRS, Effects, Pairs
from nucleoscope.methods.ensemble import View, members, together
from nucleoscope.result import Check

Given = ParamSpec("Given")
Result = TypeVar("Result", Effects, Pairs)


def several(
    method: Callable[Concatenate[Any, Given], Result],
) -> Callable[Concatenate[Any, Given], Result]:
    """The same method, which takes a list of models as well: folds of one, whose outputs mean the same."""

    @functools.wraps(method)
    def ask(model: Any, *given: Given.args, **more: Given.kwargs) -> Result:
        asked = members(model)
        if asked == [model]:
            return method(model, *given, **more)
        more["alphabet"] = alphabet_of(asked, more.get("alphabet"))  # type: ignore[arg-type]
        return _mean([method(each, *given, **more) for each in asked])

    return cast(Callable[Concatenate[Any, Given], Result], ask)


def _mean(found: Sequence[Result]) -> Result:
    """One result of those of several models."""
    first, many = found[0], len(found)
    names = OF_EDITS if isinstance(first, Effects) else OF_PAIRS
    means: dict[str, Any] = {
        name: torch.stack([getattr(each, name) for each in found]).mean(0) for name in names
    }
    said = [each.facts for each in found]
    facts = together(said) | {n: v for n, v in said[0].items() if all(f.get(n) == v for f in said)}
    checks = tuple(
        _named(check, View(at).named(many))
        for at, each in enumerate(found)
        for check in each.checks
    )
    return replace(first, **means, facts=facts | {"models": many}, checks=checks)


def _named(check: Check, name: str) -> Check:
    return replace(check, name=f"{check.name} ({name})") if name else check
