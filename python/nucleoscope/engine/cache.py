"""One trace per module, thrown away as soon as anything it depends on has changed."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from nucleoscope.engine.forward import Forward
from nucleoscope.engine.graph import Graph
from nucleoscope.engine.steady import check_steady
from nucleoscope.engine.trace import trace

Key = tuple[Any, ...]


@dataclass
class _Held:
    structure: Key
    graphs: dict[Key, Graph] = field(default_factory=dict)
    content: Key = ()
    forwards: dict[Key, Forward] = field(default_factory=dict)


_held: weakref.WeakKeyDictionary[nn.Module, _Held] = weakref.WeakKeyDictionary()


def traced(
    model: nn.Module, example: Tensor, others: tuple[Tensor, ...], layout: str,
    dtype: torch.dtype, device: torch.device,
) -> Forward:  # fmt: skip
    """The model's Graph with its weights packed, from the cache where nothing has changed.

    Structure (submodules, modes, settings, weights' places and shapes) decides whether the graph
    stands; content (the weights' numbers) decides whether the packed weights do.
    """
    structure, content = _structure(model), _content(model)
    held = _held.get(model)
    if held is None or held.structure != structure:
        held = _held[model] = _Held(structure)
    shapes: Key = (layout, *((t.shape[1:], t.dtype) for t in (example, *others)))
    if shapes not in held.graphs:
        check_steady(model, example, others)
        held.graphs[shapes] = trace(model, example, others, layout)
    if held.content != content:
        held.forwards, held.content = {}, content
    place: Key = (shapes, dtype, str(device))
    if place not in held.forwards:
        held.forwards[place] = Forward(held.graphs[shapes], dtype, device)
    return held.forwards[place]


def forget(model: nn.Module) -> None:
    """Drop what is cached for a model."""
    _held.pop(model, None)


def _structure(model: nn.Module) -> Key:
    modules = tuple(
        (name, id(type(m)), m.training, tuple(map(id, m._forward_hooks.values())),
         tuple(map(id, m._forward_pre_hooks.values())), _settings(m))
        for name, m in model.named_modules()
    )  # fmt: skip
    tensors = tuple(
        (name, t.data_ptr(), tuple(t.shape), tuple(t.stride()), t.dtype, str(t.device))
        for name, t in (*model.named_parameters(), *model.named_buffers())
    )
    return modules, tensors


def _settings(module: nn.Module) -> Key:
    """The module's own plain attributes: a changed stride or crop is another model."""
    return tuple((k, v) for k, v in vars(module).items() if not k.startswith("_") and _plain(v))


def _plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(_plain(v) for v in value)
    return isinstance(value, int | float | str | bool | None)


def _content(model: nn.Module) -> Key:
    return tuple(
        (t._version, *_digest(t)) for t in (*model.parameters(), *model.buffers()) if t.numel()
    )


def _digest(tensor: Tensor) -> tuple[int, ...]:
    """Sums of the bits by row and by column, weighted: `.data` edits do not raise the version."""
    words = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
    bits = tensor.detach().contiguous().view(words).reshape(-1)
    width = 1 << max(bits.numel().bit_length() // 2, 0)
    square = bits[: len(bits) // width * width].view(-1, width)
    rest = bits[len(bits) // width * width :]
    sums = []
    for part in (square.sum(0, dtype=torch.int64), square.sum(1, dtype=torch.int64), rest.long()):
        weight = torch.arange(1, len(part) + 1, device=part.device, dtype=torch.int64)
        sums.append(int((part * weight).sum()))
    return tuple(sums)
