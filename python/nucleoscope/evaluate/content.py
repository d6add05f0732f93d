"""What a function and its options are, by content: how a run that goes on knows the explainer again."""

from __future__ import annotations

import functools
import hashlib
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nucleoscope.scan.shipping import fingerprint

PLAIN = (type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device)
FIXED = (
    tuple,
    frozenset,
    types.CodeType,
)  # no circle closes here, and compilers may make one of two
GATHERS = (list, dict, set)  # what a function closes over to keep count of its calls


def content(value: Any) -> str:
    """SHA-256 over numbers, texts, the bytes of tensors and arrays, the code of functions, and what these hold.

    Of a function: its code, constants, defaults and what it closes over, but for lists, dicts and sets, which
    calls may fill; of a class: its functions; of an object: its class and attributes. Globals that a function
    reads are not followed.
    """
    reader = _Reader()
    reader.add(value)
    return reader.found.hexdigest()


class _Reader:
    """Goes through a value once; what it has seen it holds, so that no id is given to something else."""

    def __init__(self) -> None:
        self.found = hashlib.sha256()
        self._seen: dict[int, Any] = {}

    def add(self, value: Any) -> None:
        kind = type(value)
        self.found.update(f"\n{kind.__module__}.{kind.__qualname__} ".encode())
        if isinstance(value, PLAIN):
            self.found.update(repr(value).encode())
        elif isinstance(value, FIXED):
            self._add_new(value)
        elif id(value) in self._seen:
            self.found.update(b"again")
        else:
            self._seen[id(value)] = value
            self._add_new(value)

    def _add_new(self, value: Any) -> None:
        for kind, parts in PARTS.items():
            if isinstance(value, kind):
                self._add_all(parts(value))
                return
        self.found.update(str(getattr(value, "__qualname__", "")).encode())
        self._add_all([dict(getattr(value, "__dict__", {})), type(value)])

    def _add_all(self, parts: Iterable[Any]) -> None:
        for each in parts:
            self.add(each)


def _tensor(value: Tensor) -> list[Any]:
    numbers = value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
    return [value.dtype, tuple(value.shape), numbers]


def _array(value: np.ndarray[Any, Any]) -> list[Any]:
    held = value.tolist() if value.dtype.hasobject else value.tobytes()
    return [str(value.dtype), value.shape, held]


def _function(value: types.FunctionType) -> list[Any]:
    closed = [_closed(cell) for cell in value.__closure__ or ()]
    named = (value.__module__, value.__qualname__)
    return [named, value.__code__, value.__defaults__, value.__kwdefaults__, closed]


def _closed(cell: types.CellType) -> Any:
    try:
        held = cell.cell_contents
    except ValueError:  # nothing is in it yet
        return None
    return type(held).__qualname__ if isinstance(held, GATHERS) else held


def _class(value: type) -> list[Any]:
    held = sorted(vars(value).items())
    functions = [getattr(each, "__func__", each) for _, each in held]
    return [
        f"{value.__module__}.{value.__qualname__}",
        [each for each in functions if isinstance(each, types.FunctionType)],
    ]


PARTS: dict[type, Callable[[Any], list[Any]]] = {
    Tensor: _tensor,
    np.ndarray: _array,
    nn.Module: lambda value: [fingerprint(value)],
    functools.partial: lambda value: [value.func, value.args, value.keywords],
    types.MethodType: lambda value: [value.__func__, value.__self__],
    types.FunctionType: _function,
    types.CodeType: lambda value: [value.co_code, value.co_names, value.co_consts],
    types.ModuleType: lambda value: [value.__name__],
    type: _class,
    Mapping: lambda value: sorted(value.items(), key=lambda pair: repr(pair[0])),
    list: list,
    tuple: list,
    set: lambda value: sorted(map(content, value)),
    frozenset: lambda value: sorted(map(content, value)),
}  # fmt: skip
