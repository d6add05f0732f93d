"""Everything a model's answer may depend on, as keys that differ wherever it does."""

from __future__ import annotations

import argparse
import functools
import sys
import types
import zlib
from collections import deque
from collections.abc import Iterator, Mapping, Set
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nucleoscope.wrapped import filled

Key = tuple[Any, ...]

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_TRAINING = (
    "_trainer",
    "_fabric",
)  # what Lightning trains by: it counts steps, and holds data and loggers
_OWN = set(vars(nn.Module())) - set(_HOOKS)  # what every module keeps for itself
_PLAIN = (int, float, complex, str, bytes, type(None), range, torch.device, torch.dtype)
# Classes that users do not change, and whose objects (loggers, locks, threads) are no settings.
_SETTINGS = (types.SimpleNamespace, argparse.Namespace)
_FOREIGN = sys.stdlib_module_names | {"torch", "numpy"}


def structure(model: nn.Module, kept: Set[str] = frozenset()) -> dict[str, Key]:
    """Everything about a model but the numbers in its parameters and buffers, by place.

    A module's own attributes count, and all that they hold: a changed stride, crop, function, hook or
    field of a settings object is another model. Attributes that forward only writes are `kept`, and
    do not count.
    """
    return _Marks().of_modules(model, kept)


def content(model: nn.Module) -> Key:
    """The numbers in its parameters and buffers."""
    return tuple(_digest(t) for t in (*model.parameters(), *model.buffers()))


def of_training(model: nn.Module) -> list[Any]:
    """What trains a module and is none of it: it is neither looked at nor copied."""
    held = (vars(module).get(name) for module in model.modules() for name in _TRAINING)
    return [each for each in held if each is not None]


def mark(value: Any) -> Key:
    """Something hashable that differs wherever what a function or module holds does, or names as a global."""
    return _Marks(named=True).of(value)


class _Marks:
    """One walk over what a model holds; what was met before is not walked again."""

    def __init__(self, named: bool = False) -> None:
        self._named = named  # whether what functions read by a global name counts
        self._met: dict[int, tuple[int, Any]] = {}  # with the object, so that no other gets its id

    def of_modules(self, model: nn.Module, kept: Set[str]) -> dict[str, Key]:
        modules = dict(model.named_modules(remove_duplicate=False))
        for module in modules.values():
            self._meet(module)
        found: dict[str, Key] = {}
        for name, module in modules.items():
            found[name] = (self.of(type(module)), module.training)
            for attribute, value in list(vars(module).items()):
                place = f"{name}.{attribute}"
                if (
                    attribute in _HOOKS and place in kept
                ):  # they record something: which ones still counts
                    found[place] = tuple(map(id, value.values()))
                elif attribute not in _OWN and attribute not in _TRAINING and place not in kept:
                    found[place] = self._of_attribute(value)
        parameters = model.named_parameters(remove_duplicate=False)
        for name, t in (*parameters, *model.named_buffers(remove_duplicate=False)):
            found[f"{name}:"] = (
                _place(t),
                tuple(t.shape),
                tuple(t.stride()),
                t.dtype,
                str(t.device),
            )
        return found

    def _of_attribute(self, value: Any) -> Key:
        try:
            return self.of(value)
        except RecursionError:  # hundreds of objects that hold one another
            return (type(value), id(value))

    def of(self, value: Any) -> Key:
        """Something that differs wherever the value does."""
        if isinstance(value, slice):  # cannot be hashed
            return (slice, self.of(value.start), self.of(value.stop), self.of(value.step))
        if isinstance(value, _PLAIN):
            return (type(value), value)
        if id(value) in self._met:
            return ("met", self._met[id(value)][0])
        self._meet(value)
        if isinstance(value, Tensor) and (value.is_meta or value.is_nested):
            return (type(value), id(value))
        if isinstance(value, Tensor):
            return (_place(value), tuple(value.shape), value.dtype, _digest(value))
        if isinstance(value, np.ndarray | np.generic):
            held = repr(value.tolist()) if value.dtype.hasobject else zlib.crc32(value.tobytes())
            return (value.shape, value.dtype.str, held)
        if isinstance(value, Mapping):
            return (type(value), *((k, self.of(v)) for k, v in list(value.items())))
        if isinstance(value, list | tuple | deque):
            return (type(value), *map(self.of, list(value)))
        if isinstance(value, Set):
            return (type(value), frozenset(value))
        if isinstance(value, nn.Module):  # one that is kept in a list, unregistered
            return (*self.of_modules(value, frozenset()).items(), *content(value))
        if isinstance(value, type):
            return (value, *(() if _foreign(value) else self._of_class(value)))
        return self._of_object(value)

    def _meet(self, value: Any) -> None:
        self._met[id(value)] = (len(self._met), value)

    def _of_class(self, kind: type) -> Iterator[Key]:
        """What a class of the user's holds for all its objects."""
        for name, value in list(vars(kind).items()):
            if not name.startswith("__"):
                yield (name, self.of(value))
        yield from map(self.of, kind.__bases__)

    def _of_object(self, value: Any) -> Key:
        if isinstance(value, types.FunctionType):
            cells = [cell.cell_contents for cell in value.__closure__ or () if filled(cell)]
            read = _named_by(value) if self._named and not _foreign(value) else ()
            held = (*cells, value.__defaults__, value.__kwdefaults__, *read)
            return (value.__code__, *map(self.of, held))
        if isinstance(value, types.MethodType):
            return (self.of(value.__func__), self.of(value.__self__))
        if isinstance(value, functools.partial):
            return tuple(map(self.of, (value.func, value.args, value.keywords)))
        if _foreign(type(value)) and not isinstance(value, _SETTINGS):
            return (type(value), id(value))
        fields = [(name, self.of(held)) for name, held in _fields(value)]
        return (self.of(type(value)), *fields, *(() if fields else (id(value),)))


def _named_by(function: types.FunctionType) -> Iterator[Any]:
    """What a function, or one inside it, reads by a global name."""
    codes = [function.__code__]
    for code in codes:
        codes += [each for each in code.co_consts if isinstance(each, types.CodeType)]
    for name in dict.fromkeys(name for code in codes for name in code.co_names):
        held = function.__globals__.get(name)
        if not isinstance(held, types.ModuleType):
            yield held


def _foreign(kind: type | types.FunctionType) -> bool:
    return (kind.__module__ or "").partition(".")[0] in _FOREIGN


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    yield from list(getattr(value, "__dict__", {}).items())
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name):
                yield name, getattr(value, name)


def _place(tensor: Tensor) -> int:
    return tensor.data_ptr() if tensor.layout is torch.strided else id(tensor)


def _digest(tensor: Tensor) -> int:
    """A checksum of the bits: edits through `.data` leave no other trace. Gigabytes a second."""
    dense = tensor.detach() if tensor.layout is torch.strided else tensor.detach().to_dense()
    bits = dense.cpu().contiguous().as_strided((dense.numel(),), (1,)).view(torch.uint8)
    return zlib.crc32(bits.numpy().data)
