"""What a value is, by content: how a run that goes on knows explainers, models, data and metrics again."""

from __future__ import annotations

import copyreg
import functools
import hashlib
import sys
import types
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

PLAIN = (type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device)
FIXED = (
    tuple,
    frozenset,
    types.CodeType,
)  # no circle closes here, and compilers may make one of two
NAMED = (
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    np.ufunc,
)
OF_MODULES = frozenset(vars(nn.Module())) - {"training"}  # of torch's own; told by what is in them
OF_CLASSES = frozenset((
    "__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__annotations__", "_abc_impl",
))  # fmt: skip
PROCESS = (
    uuid.uuid4().hex
)  # so that what only an address tells is never taken for something of another run


def content(value: Any) -> str:
    """SHA-256 over numbers, texts, the bytes of tensors and arrays, the code of functions, and what these hold.

    Of a function: its code, constants, defaults, what it closes over, and the globals of its own module that it
    reads; of a class: its functions and attributes, and its bases; of a module: its class, attributes, parameters
    and buffers, and those of its parts; of another object: its class and what it is made of. Installed packages
    are known by their names (a run holds their versions). What cannot be looked into is the same only while it
    lives: it is never known again.
    """
    reader = _Reader()
    reader.add(value)
    return reader.found.hexdigest()


class _Reader:
    """Goes through a value once; what it has seen it holds, so that no id is given to something else."""

    def __init__(self) -> None:
        self.found = hashlib.sha256()
        self._seen: dict[int, tuple[int, Any]] = {}

    def add(self, value: Any) -> None:
        kind = type(value)
        self.found.update(f"\n{kind.__module__}.{kind.__qualname__} ".encode())
        if isinstance(value, PLAIN):
            self.found.update(repr(value).encode())
        elif isinstance(value, NAMED):
            self.found.update(f"{getattr(value, '__module__', '')}.{value.__name__}".encode())
            owner = getattr(value, "__self__", None)
            if owner is not None and not isinstance(
                owner, types.ModuleType
            ):  # table.get, rng.normal
                self.add(owner)
        elif isinstance(value, FIXED):
            self._add_new(value)
        elif id(value) in self._seen:
            self.found.update(f"again {self._seen[id(value)][0]}".encode())
        else:
            self._seen[id(value)] = len(self._seen), value
            self._add_new(value)

    def _add_new(self, value: Any) -> None:
        for kind, parts in PARTS.items():
            if isinstance(value, kind):
                self._add_all(parts(value))
                return
        self._add_all(_object(value))

    def _add_all(self, parts: Iterable[Any]) -> None:
        for number, each in enumerate(parts):
            self.found.update(f"\n{number}".encode())
            self.add(each)
        self.found.update(b"\nend")


def _ours_to_read(module: str | None) -> bool:
    """Whether a module is the user's, and not Python's or a package's, whose version is told."""
    top = (module or "").partition(".")[0]
    if top in sys.stdlib_module_names or top in ("nucleoscope", "torch"):
        return False
    file = str(getattr(sys.modules.get(module or ""), "__file__", "") or "")
    return "site-packages" not in file and "dist-packages" not in file


def _tensor(value: Tensor) -> list[Any]:
    numbers = value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
    return [value.dtype, tuple(value.shape), numbers]


def _array(value: np.ndarray[Any, Any]) -> list[Any]:
    held = value.tolist() if value.dtype.hasobject else value.tobytes()
    return [str(value.dtype), value.shape, held]


def _module(value: nn.Module) -> list[Any]:
    own = {name: held for name, held in vars(value).items() if name not in OF_MODULES}
    hooks = {
        name: list(held.values())
        for name, held in vars(value).items()
        if name.endswith("hooks") and isinstance(held, dict)
    }
    return [
        type(value), own, dict(value._parameters), dict(value._buffers), hooks,
        list(value._modules.items()),
    ]  # fmt: skip


def _function(value: types.FunctionType) -> list[Any]:
    closed = [_closed(cell) for cell in value.__closure__ or ()]
    named = (value.__module__, value.__qualname__)
    made = [named, value.__code__, value.__defaults__, value.__kwdefaults__, closed, vars(value)]
    return [*made, _globals(value) if _ours_to_read(value.__module__) else None]


def _closed(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing is in it yet
        return None


def _globals(value: types.FunctionType) -> dict[str, Any]:
    there = value.__globals__
    return {name: there[name] for name in sorted(_names(value.__code__)) if name in there}


def _names(code: types.CodeType) -> set[str]:
    within = [each for each in code.co_consts if isinstance(each, types.CodeType)]
    return set(code.co_names).union(*map(_names, within))


def _class(value: type) -> list[Any]:
    named = f"{value.__module__}.{value.__qualname__}"
    held = {name: _of_class(each) for name, each in vars(value).items() if name not in OF_CLASSES}
    if not _ours_to_read(value.__module__):
        code = {name: each for name, each in held.items() if isinstance(each, types.FunctionType)}
        return [named, code if value.__module__.startswith("nucleoscope") else None]
    return [named, held, value.__bases__]


def _of_class(each: Any) -> Any:
    if isinstance(each, property):
        return each.fget, each.fset
    if isinstance(each, types.MemberDescriptorType | types.GetSetDescriptorType):
        return each.__name__
    return getattr(each, "__func__", each)


def _object(value: Any) -> list[Any]:
    """What it is made of, as copies are made; where nothing tells that, where it lies."""
    reduce = copyreg.dispatch_table.get(type(value))
    try:
        made = value.__reduce_ex__(2) if reduce is None else reduce(value)
    except Exception:  # code of anybody's class
        return [type(value), getattr(value, "__wrapped__", f"{PROCESS} {id(value)}")]
    if isinstance(made, str):
        return [type(value), made, getattr(value, "__wrapped__", None)]
    kind, args, *rest = made
    if args == (type(value),) and not any(rest) and not hasattr(value, "__dict__"):
        return [type(value), f"{PROCESS} {id(value)}"]  # it is copied as if it held nothing
    return [type(value), getattr(kind, "__qualname__", ""), args, *(_listed(each) for each in rest)]


def _listed(part: Any) -> Any:
    return list(part) if hasattr(part, "__next__") else part


PARTS: dict[type, Callable[[Any], list[Any]]] = {
    Tensor: _tensor,
    np.ndarray: _array,
    nn.Module: _module,
    functools.cached_property: lambda value: [value.func],  # it holds a lock as well
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
