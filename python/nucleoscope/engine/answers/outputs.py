"""What a model returns, and the tensors of it that a target names: by key, by field, by number."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

Path = tuple[Any, ...]  # keys, fields and numbers that lead to one tensor


@dataclass(frozen=True)
class Leaf:
    """What one target names: the tensor that it lies in, and what is read there."""

    path: Path
    index: Any  # as Python indexes one sequence's output; None: all of it


def find(output: Any, target: Any) -> Leaf:
    """Follow a target's first names into a model's output, up to a tensor; the rest indexes that.

    Raises IndexError that says what there is to be named.
    """
    path: Path = ()
    here, rest = output, target
    while not isinstance(here, Tensor):
        name, rest = _first(rest)
        try:
            here = part(here, name)
        except (KeyError, TypeError) as error:
            raise IndexError(
                f"target={target!r}: there are {described(output)}: name one, e.g. "
                f"target={example(output)}"
            ) from error
        path += (name,)
    if isinstance(_first(rest)[0], str):
        raise IndexError(
            f"target={target!r}: what is indexed there is one tensor, of shape {tuple(here.shape[1:])} "
            "for one sequence; it has no names"
        )
    return Leaf(path, rest)


def _first(target: Any) -> tuple[Any, Any]:
    """The first name of a target, and what is left of it."""
    if not isinstance(target, tuple):
        return target, None
    rest = target[1:]
    return (target[0] if target else None), (rest[0] if len(rest) == 1 else rest or None)


def part(output: Any, name: Any) -> Any:
    """The part of a structure that is called so. Raises KeyError where there is none."""
    if isinstance(output, Mapping):
        return output[name]
    if isinstance(output, tuple | list) and isinstance(name, Integral):
        at = int(name)
        if isinstance(name, bool) or not -len(output) <= at < len(output):
            raise KeyError(name)
        return output[at]
    if isinstance(name, str) and name in _names(output):
        return getattr(output, name)
    raise KeyError(name)


def at(output: Any, path: Path) -> Any:
    """What lies at the end of a path."""
    for name in path:
        output = part(output, name)
    return output


def _names(output: Any) -> list[Any]:
    """What the parts of a structure are called: keys, fields, or their numbers."""
    if isinstance(output, Mapping):
        return list(output)
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        return [field.name for field in dataclasses.fields(output)]
    if isinstance(output, tuple) and hasattr(output, "_fields"):
        return list(output._fields)
    return list(range(len(output))) if isinstance(output, tuple | list) else []


def skeleton(output: Any) -> Any:
    """The same structure with tensors that hold no numbers."""
    if isinstance(output, Tensor):
        return torch.empty_like(output, device="meta")
    if isinstance(output, tuple | list):
        parts = [skeleton(each) for each in output]
        return type(output)(*parts) if hasattr(output, "_fields") else tuple(parts)
    found = _names(output)
    return {name: skeleton(part(output, name)) for name in found} if found else output


def _tensors(output: Any, path: Path) -> Iterator[tuple[Path, Tensor]]:
    """(path, tensor) of all that a structure holds, in order."""
    if isinstance(output, Tensor):
        yield path, output
    for name in _names(output):
        yield from _tensors(part(output, name), (*path, name))


def rows(output: Any) -> int:
    """The size of the batch that an output is of: its first tensor's; 0 where it has none."""
    return next((len(t) for _, t in _tensors(output, ()) if t.ndim), 0)


def floating(output: Any) -> list[Tensor]:
    """The floating-point tensors that a structure holds."""
    return [t for _, t in _tensors(output, ()) if t.is_floating_point()]


def largest(output: Any) -> float:
    """The size of the largest number that a structure holds."""
    return max((float(t.abs().max()) for t in floating(output) if t.numel()), default=0.0)


def described(output: Any) -> str:
    """What a structure holds, for a message: names, and shapes for one sequence."""
    held = [f"{_written(path)} {list(t.shape[1:])}" for path, t in _tensors(output, ())]
    return (
        f"{len(held)} tensor{'s' * (len(held) > 1)} ({', '.join(held)})"
        if held
        else f"a {type(output).__name__}"
    )


def example(output: Any) -> str:
    """A target that names the first tensor of a structure."""
    return _written(next(_tensors(output, ()))[0])


def _written(path: Path) -> str:
    return repr(path[0] if len(path) == 1 else path)
