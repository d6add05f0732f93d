"""Elementwise functions as they are handed on: to torch by name, to C++ by number."""

from __future__ import annotations

from collections.abc import Sequence

from nucleoscope.naive.ops.delta_pointwise import FUNCTIONS as _DEFINED
from nucleoscope.naive.ops.delta_pointwise import PARAMETERS

FUNCTIONS = list(_DEFINED)


def number(where: str, function: str, parameters: Sequence[float]) -> int:
    """Which function it is.

    Raises:
        ValueError: there is no such function, or it takes another number of parameters.
    """
    if function not in FUNCTIONS:
        raise ValueError(f"{where}: no function {function!r}; one of {', '.join(FUNCTIONS)}")
    names = PARAMETERS.get(function, ())
    if len(parameters) != len(names):
        raise ValueError(
            f"{where}: {function} with {len(parameters)} parameters, must have {len(names)}: "
            f"({', '.join(names)})"
        )
    return FUNCTIONS.index(function)


def named(number: int, three: Sequence[float]) -> tuple[str, tuple[float, ...]]:
    """The function of this number, and as many parameters as it takes."""
    function = FUNCTIONS[number]
    return function, tuple(three[: len(PARAMETERS.get(function, ()))])


def three(parameters: Sequence[float]) -> tuple[float, float, float]:
    """Parameters as C++ takes them, zeros behind."""
    a, b, c, *_ = (*parameters, 0.0, 0.0, 0.0)
    return a, b, c
