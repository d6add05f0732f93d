"""Whether what several models are asked about is alike, so that there is a mean of it."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.answers.steady import answer
from nucleoscope.engine.prepare import ask
from nucleoscope.methods.running import exactly


def check_alike(
    models: Sequence[Any], X: Tensor, args: tuple[Tensor, ...] | None, read: Read, settings: dict[str, Any]
) -> None:  # fmt: skip
    """Ask each of several models about the first sequence, what `read` reads: as many numbers of all.

    X and `args` are known to be such. Raises ValueError that names models and sizes, and what a model raises.
    """
    if len(models) < 2:
        return
    first = (X[:1], None if args is None else tuple(t[:1] for t in args))
    found = [_sizes(model, at, first, read, settings) for at, model in enumerate(models)]
    targets = read.target if isinstance(read.target, list) else [read.target]
    for target, *each in zip(targets, *found, strict=True):
        said = "; ".join(
            f"model {at + 1} ({type(models[at]).__name__}) {size:,} of {['N', *shape]}"
            for at, (size, shape) in enumerate(each)
        ).replace("'", "")
        if len({size for size, _ in each}) > 1:
            raise ValueError(
                f"model: target={target} is the mean of unlike numbers of outputs: {said}. Name by target what "
                "all of them have, e.g. target=0, or ask them one by one"
            )
        if len({shape for _, shape in each}) > 1 and _from_the_end(target):
            raise ValueError(
                f"model: target={target} counts from the end, where each has another output: {said}. Count from "
                "the first, or ask them one by one"
            )


def _from_the_end(target: Any) -> bool:
    """Whether a target holds an index that counts from the end."""
    each = target if isinstance(target, tuple) else (target,)
    return any(isinstance(index, Integral) and index < 0 for index in each)


def _sizes(
    model: Any, at: int, first: tuple[Tensor, tuple[Tensor, ...] | None], read: Read,
    settings: dict[str, Any],
) -> list[tuple[int, tuple[int, ...]]]:  # fmt: skip
    """Of each target, how many numbers it is the mean of, and the shape that they are of."""
    asked = ask(model, *first, start=0, end=None, **settings)
    example, *others = asked.inputs
    with exactly(asked), torch.no_grad():
        made = read.made(answer(asked.model, example, tuple(others)))
    try:
        return read.leaves(made).sizes()
    except IndexError as error:
        raise IndexError(f"{error} (model {at + 1}, {type(model).__name__})") from error
