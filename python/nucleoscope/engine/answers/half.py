"""Models whose weights are in half precision: computed with in float32, and held against their own answers.

Every number of float16 or bfloat16 is one of float32, so a copy with float32 weights is the same function
without the rounding between its layers. That copy is what is explained.
"""

from __future__ import annotations

import copy
import weakref

import torch
from torch import Tensor, nn

from nucleoscope.engine.answers import outputs
from nucleoscope.engine.answers.marks import Key, content, structure
from nucleoscope.engine.answers.read import Read

HALVES = (torch.float16, torch.bfloat16)
ALIKE = 64  # units of its own rounding that a half model may be off by

_copies: weakref.WeakKeyDictionary[nn.Module, tuple[tuple[Key, ...], nn.Module]] = (
    weakref.WeakKeyDictionary()
)


def half_type(model: nn.Module) -> torch.dtype | None:
    """The half precision that any of its weights is in."""
    held = (t.dtype for t in (*model.parameters(), *model.buffers()))
    return next((kind for kind in held if kind in HALVES), None)


def in_float32(model: nn.Module) -> nn.Module:
    """A copy whose weights of half precision are float32; the same one until the model changes."""
    mark = (tuple(structure(model).items()), content(model))
    known = _copies.get(model)
    if known is not None and known[0] == mark:
        return known[1]
    try:
        made = copy.deepcopy(model)
    except Exception as error:
        raise ValueError(
            f"model: its weights are {half_type(model)}, and it cannot be copied to be computed with in "
            f"float32 ({error}): call model.float()"
        ) from error
    for tensor in (*made.parameters(), *made.buffers()):
        if tensor.dtype in HALVES:
            tensor.data = tensor.data.float()
    _copies[model] = mark, made
    return made


def check_half(
    model: nn.Module, inputs: tuple[Tensor, ...], read: Read, original: Tensor, effect: float
) -> str:
    """What the model's own rounding comes to: its answers in half precision beside those in float32.

    Raises ValueError where they are off by more than rounding: then they are not one function.
    """
    kind = half_type(model)
    assert kind is not None
    name = str(kind).removeprefix("torch.")
    given = [t.to(kind) if t.is_floating_point() else t for t in inputs]
    try:
        with torch.no_grad():
            output = read.ask(model, *given)
            where = read.leaves(output)
            made = where.read(where.joined(output))
    except (RuntimeError, NotImplementedError) as error:
        floats = {t.dtype for t in (*model.parameters(), *model.buffers()) if t.is_floating_point()}
        if len(floats) > 1:
            mixed = " and ".join(sorted(map(str, floats)))
            raise ValueError(
                f"model: its weights are {mixed}, and it does not run so: {error}. Call model.float()."
            ) from error
        return f"computed in float32; the model itself does not run in {name} here: {error}"
    off = float((made.double().cpu() - original.double()).abs().max())
    allowed = (
        ALIKE
        * float(torch.finfo(kind).eps)
        * max(outputs.largest(output), outputs.largest(original))
    )
    if not off <= allowed:
        raise ValueError(
            f"model: its own answers in {name} differ from those with its weights in float32 by {off:.1e}, more "
            f"than its rounding explains ({allowed:.1e}): does forward do something else in half precision?"
        )
    return (
        f"computed in float32; the model's own {name} answers are off by {off:.1e}, "
        f"the largest effect is {effect:.1e}"
    )
