"""What every method does around the engine: settings of torch, warnings, and the facts of a result."""

from __future__ import annotations

import contextlib
import importlib.metadata
import sys
import warnings
from collections.abc import Iterator
from numbers import Integral
from typing import Any

import torch

from nucleoscope.engine import precision as precisions
from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.device import current
from nucleoscope.engine.edits.changes import Changes
from nucleoscope.engine.edits.edited import Edited
from nucleoscope.engine.prepare import Asked
from nucleoscope.naive.methods.full_float32 import full_float32, reductions


class NaiveFallback(UserWarning):
    """The model could not be traced; the plain loop ran instead."""


class UntracedFunc(UserWarning):
    """The model was traced and `func` was not: whole outputs are made for it."""


def read_verify(verify: Any) -> int:
    """Check how many edits are to be recomputed."""
    if not isinstance(verify, Integral) or isinstance(verify, bool) or verify < 0:
        raise ValueError(f"verify={verify!r}: a number of edits, 0 or more")
    return int(verify)


def read_func(func: Any) -> None:
    """Check that there is no func, or that it can be called."""
    if func is not None and not callable(func):
        raise TypeError(f"func={func!r}: a function of the model's output [B, ...]")


@contextlib.contextmanager
def exactly(asked: Asked) -> Iterator[list[str]]:
    """Whatever the caller is under, model and engine compute in the number types that were asked for.

    Yields the names of the settings that would have rounded the model's products.
    """
    rounding = reductions(asked.home)
    with full_float32({asked.device, asked.home}), current(asked.device):
        yield rounding


def warn_of_the_loop(why: Exception, rounding: list[str]) -> None:
    """Say that the plain loop runs, and why; `rounding` are the settings that it runs without."""
    said = (
        "the model cannot be traced, so the plain loop runs instead (slower, and as exact as "
        f"the model): {why}"
    )
    if rounding:
        said += (
            f". Your settings round the model's products ({', '.join(rounding)}); the loop runs without: "
            "between two outputs that are rounded, up to a sixth of all effects change their sign"
        )
    warnings.warn(said, NaiveFallback, stacklevel=levels_to_the_caller())


def warn_of_whole_outputs(untraced: str) -> None:
    """Say that `func` is given whole outputs, where it is."""
    if untraced:
        warnings.warn(
            f"func cannot be traced, so whole outputs are made for it: {untraced}",
            UntracedFunc,
            stacklevel=levels_to_the_caller(),
        )


def levels_to_the_caller() -> int:
    """How many frames up the first one outside this package is: the line a warning should show."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("nucleoscope"):
        level, frame = level + 1, frame.f_back
    return level


def facts_of(asked: Asked, read: Read, found: Changes | Edited, engine: str) -> dict[str, Any]:
    """How an answer was come by, as its facts say it."""
    precision = str(found.raw.dtype).removeprefix("torch.")
    if asked.precision in precisions.SAYS and engine != "plain loop":
        precision = precisions.SAYS[asked.precision]
    facts: dict[str, Any] = {
        "precision": precision, "engine": engine, "repeated_in_float64": found.repeated,
    }  # fmt: skip
    if isinstance(found, Edited) and found.brief:
        facts["originals"] = "float32, short sums"
    if read.func is not None and engine != "plain loop":
        facts["func"] = (
            f"given whole outputs: {found.untraced}" if found.untraced else "traced with the model"
        )
    if asked.taken:
        facts["model_taken"] = asked.taken
    return facts


def versions() -> dict[str, str]:
    """Of this package and of torch."""
    return {"nucleoscope": importlib.metadata.version("nucleoscope"), "torch": torch.__version__}
