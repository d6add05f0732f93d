"""What an explainer costs, and whether it left everything as it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nucleoscope.evaluate.case import Explained
from nucleoscope.scan.shipping import fingerprint

SAME = 1e-5  # of the size of the scores: what threads may round differently


class Misbehaved(ValueError):
    """An explainer did what makes its scores worthless, or those of others."""


@dataclass
class Cost:
    """Seconds of the wall, and the most bytes held beyond what was held before; NaN where that is unknown."""

    seconds: float = float("nan")
    memory: float = float("nan")


@contextmanager
def costs() -> Iterator[Cost]:
    """Measure what is done inside."""
    cost, before = Cost(), _restart_peak()
    begin = time.perf_counter()
    try:
        yield cost
    finally:
        cost.seconds = time.perf_counter() - begin
        if before is not None:
            cost.memory = max(0.0, _status("VmHWM") - before)


def _restart_peak() -> float | None:
    """Let the kernel count this process's peak anew; the bytes held now, or None where it does not count."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _status("VmRSS")
    except OSError:
        return None


def _status(name: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return float(line.split()[1]) * 1024
    raise OSError(f"the kernel does not tell {name}")


def watched(
    explain: Callable[[Any, Tensor], Explained], model: Any, X: Tensor
) -> tuple[Explained, Cost]:
    """Scores and their cost, of an explainer that is asked twice.

    Raises Misbehaved where it changes the model or the sequences, or answers otherwise the second time; what it
    changed is put back. Whatever else it raises is passed on.
    """
    held, before, marks = X.clone(), _state(model), _marks(model)
    try:
        with costs() as cost:
            first = explain(model, held)
        complaint = _changed(model, marks, held, X)
        if not complaint:
            held = X.clone()  # a gradient that was left on the first one would be added to
            second = explain(model, held)
            complaint = _changed(model, marks, held, X) or _differs(first, second)
    finally:
        _put_back(before)
    if complaint:
        raise Misbehaved(complaint)
    return first, cost


@dataclass(frozen=True)
class _Held:
    """A module or a tensor, and what it was."""

    of: Any
    was: dict[str, Any]


def _state(model: Any) -> list[_Held]:
    """What every module holds by name, and the numbers, gradient and requires_grad of every tensor of it."""
    if not isinstance(model, nn.Module):
        return []
    modules = [
        _Held(each, {n: (v, _copied(v)) for n, v in vars(each).items()}) for each in model.modules()
    ]
    plain = [v for each in modules for v, _ in each.was.values() if isinstance(v, Tensor)]
    tensors = {id(t): t for t in (*model.parameters(), *model.buffers(), *plain)}
    return modules + [_Held(each, _of_tensor(each)) for each in tensors.values()]


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, dict | set) else None


def _of_tensor(tensor: Tensor) -> dict[str, Any]:
    grad = tensor.grad if tensor.is_leaf else None
    return {
        "values": tensor.detach().clone(), "requires_grad": tensor.requires_grad, "grad": grad,
        "grad_values": None if grad is None else grad.detach().clone(),
    }  # fmt: skip


def _put_back(held: list[_Held]) -> None:
    """Let the same objects hold what they held: hooks, modules, modes, weights, gradients."""
    for each in held:
        if isinstance(each.of, Tensor):
            _put_back_tensor(each.of, **each.was)
            continue
        now = vars(each.of)
        for name in set(now) - set(each.was):
            del now[name]
        for name, (value, contents) in each.was.items():
            now[name] = value
            if contents is not None:
                value.clear()
                value.update(contents)


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
    if alike:
        tensor.data.copy_(values)  # in place: what shares its memory goes with it
    else:
        tensor.data = values
    if tensor.is_leaf:
        tensor.requires_grad_(requires_grad)
        tensor.grad = grad
    if grad is not None and grad_values is not None:
        grad.data.copy_(grad_values)


def _marks(model: Any) -> tuple[Any, ...]:
    """What must be the same afterwards: weights, modes, hooks."""
    if not isinstance(model, nn.Module):
        return ()
    hooks = [
        len(each._forward_hooks)
        + len(each._forward_pre_hooks)
        + len(each._backward_hooks)
        + len(each._backward_pre_hooks)
        for each in model.modules()
    ]
    return fingerprint(model), [each.training for each in model.modules()], hooks


def _changed(model: Any, marks: tuple[Any, ...], held: Tensor, X: Tensor) -> str:
    if not torch.equal(held, X):
        return "it changed the sequences that it was given"
    now = _marks(model)
    what = ("the model's weights or its structure", "the model's mode (train or eval)", "its hooks")
    wrong = [said for said, a, b in zip(what, marks, now, strict=True) if a != b] if marks else []
    return f"it changed {' and '.join(wrong)}" if wrong else ""


def _differs(first: Explained, second: Explained) -> str:
    size = first.positions.norm()
    off = (first.positions - second.positions).norm()
    if off <= SAME * size:
        return ""
    return (
        f"it is not deterministic: asked again with the same seed its scores differ by {float(off / size):.2g} of "
        "their size"
    )
