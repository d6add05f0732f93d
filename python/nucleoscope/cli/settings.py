"""`--set NAME=VALUE`: what a method takes that has no option of its own, held to the method's signature."""

from __future__ import annotations

import ast
import difflib
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import click

WORDS = {"true": True, "false": False, "none": None}
# What a part of an annotation takes, of what can be typed.
TYPES: Mapping[str, tuple[type, ...]] = {
    "int": (int,), "float": (int, float), "bool": (bool,), "str": (str,), "None": (type(None),),
    "Sequence[int]": (list, tuple), "tuple[int, int]": (list, tuple),
}  # fmt: skip


def read(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> dict[str, Any]:  # noqa: ARG001
    """``n_steps=50``: a name, and a value as Python writes it; a:b is a range, and other words are themselves."""
    found: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not (sign and name.isidentifier()):
            raise click.BadParameter(f"{text!r}: write NAME=VALUE, such as n_steps=50")
        if name in found:
            raise click.BadParameter(f"{name} is given twice")
        found[name] = _value(value)
    return found


def _value(text: str) -> Any:
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    if re.fullmatch(r"-?\d*:-?\d*", text):
        return slice(*(int(end) if end else None for end in text.split(":")))
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def held_to(
    method: Callable[..., Any], given: Mapping[str, Any], options: Mapping[str, str]
) -> None:
    """Raise click.BadParameter for a name or a value that the method does not take.

    `options` are the parameters that have an option of their own, each with it.
    """
    takes = inspect.signature(method).parameters
    for name, value in given.items():
        if name in options:
            raise _bad(f"{name} has an option of its own: {options[name]}")
        if name not in takes or name in ("model", "X", "args", "start", "end"):
            known = [each for each in takes if each not in ("model", "X", "args", "start", "end")]
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else f". It takes {', '.join(known)}."
            raise _bad(f"{method.__name__} takes no {name} in a scan{hint}")
        parts = [part.strip() for part in str(takes[name].annotation).split(" | ")]
        if "Any" in parts:
            continue
        typed = [TYPES[part] for part in parts if part in TYPES and part != "None"]
        if not typed:
            raise _bad(
                f"{name} is {takes[name].annotation}, which cannot be typed here: call nucleoscope.scan"
            )
        allowed = [kind for part in parts for kind in TYPES.get(part, ())]
        if type(value) not in allowed:
            raise _bad(f"{name} is {takes[name].annotation}, which {value!r} is not")


def _bad(message: str) -> click.BadParameter:
    return click.BadParameter(message, param_hint="--set")


SET = click.option(
    "--set", "settings", multiple=True, callback=read, metavar="NAME=VALUE",
    help="What --method takes besides, by its Python name: n_steps=50. Repeat for several; the manifest has them.",
)  # fmt: skip
