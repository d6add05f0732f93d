"""All that a model holds, noted down and put back."""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Held:
    """What can change where it lies, and what it was."""

    of: Any
    was: Any


def state(model: Any) -> list[Held]:
    """What every module holds by name, with what is in lists, dicts, sets, arrays and plain objects, to any depth,
    and the numbers, gradient and requires_grad of every tensor."""
    if not isinstance(model, nn.Module):
        return []
    found: dict[int, Held] = {}
    for part in model.modules():
        _gather(vars(part), found)
    tensors = {id(t): t for t in (*model.parameters(), *model.buffers())}
    for tensor in tensors.values():
        _gather(tensor, found)
    return list(found.values())


def _gather(value: Any, found: dict[int, Held]) -> None:
    """Note a value that can change where it lies, and those in it."""
    if id(value) in found or isinstance(
        value, nn.Module | type | types.FunctionType | types.ModuleType
    ):
        return
    if isinstance(value, Tensor):
        found[id(value)] = Held(value, _of_tensor(value))
    elif isinstance(value, np.ndarray):
        if value.flags.writeable and not isinstance(value, np.memmap):
            found[id(value)] = Held(value, value.copy())
    elif isinstance(value, list | set):
        found[id(value)] = Held(value, value.copy())
    elif isinstance(value, dict):
        found[id(value)] = Held(value, dict(value))
    elif _has_attributes(value):
        _gather(vars(value), found)
    for each in _within(value):
        _gather(each, found)


def _within(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list | set | tuple) else []


def _has_attributes(value: Any) -> bool:
    """Whether it is an object of somebody's class, with a dictionary of its own."""
    return isinstance(getattr(value, "__dict__", None), dict) and not type(
        value
    ).__module__.startswith("torch")


def _of_tensor(tensor: Tensor) -> dict[str, Any]:
    grad = tensor.grad if tensor.is_leaf else None
    return {
        "values": tensor.detach().clone(), "requires_grad": tensor.requires_grad, "grad": grad,
        "grad_values": None if grad is None else grad.detach().clone(),
    }  # fmt: skip


def put_back(held: list[Held]) -> None:
    """Let the same objects hold what they held: hooks, modules, modes, weights, gradients, attributes.

    What still holds it is left alone: some of it cannot be written to.
    """
    for each in held:
        now, was = each.of, each.was
        if isinstance(now, Tensor):
            _put_back_tensor(now, **was)
        elif isinstance(now, list):
            now[:] = was
        elif isinstance(now, np.ndarray):
            now[...] = was
        elif isinstance(now, set) or not _same_items(now, was):
            now.clear()
            now.update(was)


def _same_items(now: dict[Any, Any], was: dict[Any, Any]) -> bool:
    pairs = (
        zip(now.items(), was.items(), strict=True) if len(now) == len(was) else [((0, 0), (1, 1))]
    )
    return all(a is c and b is d for (a, b), (c, d) in pairs)


@torch.no_grad()
def _put_back_tensor(
    tensor: Tensor,
    values: Tensor,
    requires_grad: bool,
    grad: Tensor | None,
    grad_values: Tensor | None,
) -> None:
    alike = (
        tensor.shape == values.shape
        and tensor.dtype == values.dtype
        and tensor.device == values.device
    )
    shared = any(step == 0 and n > 1 for step, n in zip(tensor.stride(), tensor.shape, strict=True))
    if not alike or (shared and not torch.equal(tensor, values)):
        tensor.data = values
    elif not torch.equal(tensor, values):
        tensor.data.copy_(values)  # in place: what shares its memory goes with it
    if tensor.is_leaf and tensor.requires_grad != requires_grad:
        tensor.requires_grad_(requires_grad)
    if tensor.is_leaf and tensor.grad is not grad:
        tensor.grad = grad
    if grad is not None and grad_values is not None:
        grad.data.copy_(grad_values)
