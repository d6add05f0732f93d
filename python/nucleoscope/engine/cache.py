"""One trace per module, thrown away as soon as anything it depends on has changed."""

from __future__ import annotations

import copy
import weakref
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nucleoscope.engine.forward import Forward
from nucleoscope.engine.graph import Graph
from nucleoscope.engine.steady import check_finite, check_steady
from nucleoscope.engine.trace import quiet, trace

Key = tuple[Any, ...]
KEPT_IN_DOUBLE = 20_000_000  # parameters


@dataclass
class _Held:
    structure: Key
    graphs: dict[Key, Graph] = field(default_factory=dict)
    content: Key = ()
    double: nn.Module | None = None  # a float64 copy, for verification
    forwards: dict[Key, Forward] = field(default_factory=dict)


_held: weakref.WeakKeyDictionary[nn.Module, _Held] = weakref.WeakKeyDictionary()


def traced(
    model: nn.Module, example: Tensor, others: tuple[Tensor, ...], layout: str,
    dtype: torch.dtype, device: torch.device, bf16: bool = False,
) -> Forward:  # fmt: skip
    """The model's Graph with its weights packed, from the cache where nothing has changed.

    Structure (submodules, modes, settings, weights' places and shapes) decides whether the graph
    stands; content (the weights' numbers) decides whether the packed weights do.
    """
    structure, content = _structure(model), _content(model)
    held = _held.get(model)
    if held is None or held.structure != structure:
        held = _held[model] = _Held(structure)
    if held.content != content:
        check_finite(model)
    shapes: Key = (layout, *((t.shape[1:], t.dtype) for t in (example, *others)))
    if shapes not in held.graphs:
        check_steady(model, example, others)
        held.graphs[shapes] = trace(model, example, others, layout)
    if held.content != content:
        held.forwards, held.content, held.double = {}, content, None
    place: Key = (shapes, dtype, str(device), bf16)
    if place not in held.forwards:
        held.forwards[place] = Forward(held.graphs[shapes], dtype, device, bf16=bf16)
    return held.forwards[place]


def in_double(model: nn.Module) -> nn.Module:
    """A float64 copy of a model that has just been traced, kept as long as the trace if it is small."""
    held = _held[model]
    if held.double is not None:
        return held.double
    with quiet():  # torch.export's own attributes warn when they are copied
        made = copy.deepcopy(model).double()
    if sum(p.numel() for p in made.parameters()) <= KEPT_IN_DOUBLE:
        held.double = made
    return made


def _structure(model: nn.Module) -> Key:
    """Everything about a model but the numbers in its parameters and buffers."""
    modules = tuple((name, type(m), m.training, _settings(m)) for name, m in model.named_modules())
    tensors = tuple(
        (name, t.data_ptr(), tuple(t.shape), tuple(t.stride()), t.dtype, str(t.device))
        for name, t in (*model.named_parameters(), *model.named_buffers())
    )
    return modules, tensors


_HOOKS = ("_forward_hooks", "_forward_pre_hooks")
_OWN = set(vars(nn.Module())) - set(_HOOKS)  # what every module keeps for itself


def _settings(module: nn.Module) -> Key:
    """The module's own attributes: a changed stride, crop, function or hook is another model."""
    return tuple((k, _mark(v)) for k, v in vars(module).items() if k not in _OWN)


def _mark(value: Any) -> Key:
    """Something that differs wherever the value does."""
    if isinstance(value, Tensor):
        return (value.data_ptr(), tuple(value.shape), value.dtype, _digest(value))
    if isinstance(value, dict):
        return (dict, *((k, _mark(v)) for k, v in value.items()))
    if isinstance(value, list | tuple):
        return (type(value), *map(_mark, value))
    if isinstance(value, int | float | str | bytes | None):
        return (type(value), value)
    if isinstance(value, np.ndarray):
        return (
            value.shape,
            value.dtype.str,
            zlib.crc32(np.ascontiguousarray(value).data.cast("B")),
        )
    if isinstance(value, nn.Module):  # one that is kept in a list, unregistered
        return (*_structure(value), *_content(value))
    held = getattr(value, "__dict__", None)
    if held and not callable(value):  # a settings object: its fields are what counts
        return (type(value), *((k, _mark(v)) for k, v in held.items() if _plain(v)))
    return (type(value), id(value))


def _plain(value: Any) -> bool:
    return isinstance(value, int | float | str | bytes | None | Tensor | list | tuple | dict)


def _content(model: nn.Module) -> Key:
    return tuple(_digest(t) for t in (*model.parameters(), *model.buffers()))


def _digest(tensor: Tensor) -> int:
    """A checksum of the bits: edits through `.data` leave no other trace. Gigabytes a second."""
    bits = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return zlib.crc32(bits.numpy().data)
