"""Models as they come: in wrappers, compiled, or functions of modules that are no module themselves."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

DEPTH = 4  # how far functions are followed into each other


def unwrapped(model: Any) -> tuple[nn.Module, str]:
    """The module to explain, and how it was come by; "" where it was given as it is.

    Raises TypeError for what cannot be called.
    """
    taken: list[str] = []
    while (inner := _inner(model)) is not None:
        taken.append(type(model).__name__)
        model = inner
    if isinstance(model, nn.Module):
        return model, f"out of {' of '.join(taken)}" if taken else ""
    if not callable(model) or isinstance(model, type):
        raise TypeError(
            f"model: expected a torch.nn.Module, or a function that calls some, got {_kind(model)}"
        )
    modules = list(_modules_in(model, DEPTH))
    return Called(model, modules), f"a {type(model).__name__} that calls {len(modules)} modules"


def _inner(model: Any) -> Any:
    """What is wrapped; None where nothing is."""
    if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        return model.module
    held = vars(model) if hasattr(model, "__dict__") else {}
    if isinstance(model, nn.Module):
        return dict(model.named_children()).get("_orig_mod")  # torch.compile(module)
    return held.get("_torchdynamo_orig_callable")  # torch.compile(function)


def _kind(model: Any) -> str:
    return f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__


class Called(nn.Module):
    """A function of modules as a module: what it calls are its parts, whose modes and weights count."""

    def __init__(self, function: Callable[..., Any], modules: list[nn.Module]) -> None:
        super().__init__()
        self.parts, self.function = nn.ModuleList(modules), function
        self.training = self.parts.training = False  # has no mode of its own

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.function(*inputs)


def _modules_in(held: Any, depth: int) -> Iterator[nn.Module]:
    """The modules that a callable holds: bound, in its closure, its arguments, or globals that it names."""
    seen: set[int] = set()
    waiting = [(held, depth)]
    while waiting:
        each, left = waiting.pop(0)
        if isinstance(each, nn.Module):
            if id(each) not in seen:
                yield each
        elif left and id(each) not in seen:
            waiting += [(inner, left - 1) for inner in _held_by(each)]
        seen.add(id(each))


def _held_by(each: Any) -> list[Any]:
    if isinstance(each, types.FunctionType):
        cells = [c.cell_contents for c in each.__closure__ or () if filled(c)]
        named = [each.__globals__[n] for n in each.__code__.co_names if n in each.__globals__]
        plain = [v for v in named if isinstance(v, nn.Module | types.FunctionType | list | dict)]
        return [*cells, *(each.__defaults__ or ()), *(each.__kwdefaults__ or {}).values(), *plain]
    if isinstance(each, types.MethodType):
        return [each.__self__, each.__func__]
    if isinstance(each, functools.partial):
        return [each.func, *each.args, *each.keywords.values()]
    if isinstance(each, dict):
        return list(each.values())
    if isinstance(each, list | tuple):
        return list(each)
    foreign = isinstance(each, types.ModuleType | type) or not hasattr(each, "__dict__")
    return [] if foreign else list(vars(each).values())


def filled(cell: types.CellType) -> bool:
    """Whether a function's free name is bound by now."""
    try:
        return cell.cell_contents is not cell
    except ValueError:  # a name that was not bound yet
        return False
