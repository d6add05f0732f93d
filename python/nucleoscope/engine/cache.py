"""One trace per module, thrown away as soon as anything it depends on has changed."""

from __future__ import annotations

import copy
import threading
import weakref
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from nucleoscope.engine.forward import Forward
from nucleoscope.engine.graph import Graph, Untraceable
from nucleoscope.engine.marks import Key, content, structure
from nucleoscope.engine.steady import answer, check_finite, check_steady
from nucleoscope.engine.trace import quiet, trace

KEPT_IN_DOUBLE = 20_000_000  # numbers in parameters and buffers


@dataclass
class _Held:
    structure: dict[str, Key]
    kept: set[str] = field(default_factory=set)  # places that forward writes and does not read
    graphs: dict[Key, Graph] = field(default_factory=dict)
    content: Key = ()
    double: list[Tensor] = field(default_factory=list)  # the weights in float64, for verification
    forwards: dict[Key, Forward] = field(default_factory=dict)


_held: weakref.WeakKeyDictionary[nn.Module, _Held] = weakref.WeakKeyDictionary()
# Calls of several threads take turns: torch.export is not made for threads, and while a model is
# exported its weights are others, which nobody else may see. One call uses all cores as it is.
in_turn = threading.RLock()


def traced(
    model: nn.Module, example: Tensor, others: tuple[Tensor, ...], layout: str,
    dtype: torch.dtype, device: torch.device, precision: str = "fp32",
) -> Forward:  # fmt: skip
    """The model's Graph with its weights packed, from the cache where nothing has changed.

    Structure (submodules, modes, settings, weights' places and shapes) decides whether the graph
    stands; content (the weights' numbers) decides whether the packed weights do.
    """
    with in_turn:
        held = _held.get(model)
        if held is None or held.structure != structure(model, held.kept):
            held = _held[model] = _Held(structure(model))
        numbers = content(model)
        if held.content != numbers:
            check_finite(model)
        shapes: Key = (layout, *((t.shape[1:], t.dtype) for t in (example, *others)))
        if shapes not in held.graphs:
            held.kept |= _written_by_forward(model, example, others)
            held.graphs[shapes] = trace(model, example, others, layout)
            held.structure = structure(model, held.kept)
        if held.content != numbers:
            held.forwards, held.content, held.double = {}, numbers, []
        place: Key = (shapes, dtype, str(device), precision)
        if place not in held.forwards:
            held.forwards[place] = Forward(held.graphs[shapes], dtype, device, precision=precision)
        return held.forwards[place]


def is_held(model: nn.Module) -> bool:
    """Whether there is a trace from an earlier call."""
    held = _held.get(model) if isinstance(model, nn.Module) else None
    return held is not None and bool(held.graphs)


def forget(model: nn.Module) -> None:
    """Throw the model's trace away."""
    _held.pop(model, None)


def _written_by_forward(model: nn.Module, example: Tensor, others: tuple[Tensor, ...]) -> set[str]:
    """Check that answers are steady, and tell which attributes a forward changes all the same.

    What only the first forward writes (a mask made when it is first needed) is not among them.
    """
    alone = answer(model, example, others)
    if alone.dtype in (torch.float16, torch.bfloat16):
        raise Untraceable(
            f"its output is {alone.dtype}, in which most effects are lost to rounding. Let forward return "
            "what it has before it is rounded"
        )
    before = structure(model)
    check_steady(model, alone, example, others)
    after = structure(model)
    return {place for place in before | after if before.get(place) != after.get(place)}


def in_double(model: nn.Module) -> nn.Module:
    """The traced model as it is now, copied with its weights in float64.

    Only the weights are kept from one call to the next (if they are few): they are known by their
    numbers, while a setting may have changed unseen.
    """
    with in_turn:
        weights = [t for t in (*model.parameters(), *model.buffers()) if t.is_floating_point()]
        held = _held[model]
        double = held.double or [_double(t) for t in weights]
        if sum(t.numel() for t in double) <= KEPT_IN_DOUBLE:
            held.double = double
        with quiet():  # torch.export's own attributes warn when they are copied
            return copy.deepcopy(model, {id(t): d for t, d in zip(weights, double, strict=True)})


def _double(tensor: Tensor) -> Tensor:
    made = tensor.detach().double()
    return nn.Parameter(made, requires_grad=False) if isinstance(tensor, nn.Parameter) else made
