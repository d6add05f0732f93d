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

from nucleoscope.evaluate.case import Explained, home
from nucleoscope.evaluate.content import OF_MODULES, content
from nucleoscope.evaluate.state import put_back, state

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
    held, watch = X.clone(), _Watch(model, X)
    try:
        with costs() as cost:
            first = explain(model, held)
        complaint = watch.complaint(held)
        if not complaint:
            held = X.clone()  # a gradient that was left on the first one would be added to
            second = explain(model, held)
            complaint = watch.complaint(held) or _differs(first, second)
    finally:
        put_back(watch.before)
    if complaint:
        raise Misbehaved(complaint)
    return first, cost


ATTRIBUTE = "the model's attribute"
Marks = dict[str, Any]


def _marks(model: Any) -> Marks:
    """What must be the same afterwards, by what it is: weights, attributes of every part, modes, hooks."""
    if not isinstance(model, nn.Module):
        return {}
    parts = list(model.named_modules())
    hooks = [
        len(each._forward_hooks)
        + len(each._forward_pre_hooks)
        + len(each._backward_hooks)
        + len(each._backward_pre_hooks)
        for _, each in parts
    ]
    marks: Marks = {
        "the model's weights": [content([dict(p._parameters), dict(p._buffers)]) for _, p in parts],
        "the model's structure": [(path, type(each)) for path, each in parts],
        "the model's mode (train or eval)": [each.training for _, each in parts],
        "its hooks": hooks,
    }
    for path, each in parts:
        for name, value in vars(each).items():
            if name not in OF_MODULES and name != "training":
                marks[f"{ATTRIBUTE} {path}{'.' * bool(path)}{name}"] = content(value)
    return marks


class _Watch:
    """A model and sequences as they were, and whether they still are."""

    def __init__(self, model: Any, X: Tensor) -> None:
        self.model, self.X = model, X
        self.before, self.marks = state(model), _marks(model)

    def complaint(self, held: Tensor) -> str:
        """What was changed, of the model and of the sequences `held`; nothing where all is as it was."""
        if not torch.equal(held, self.X):
            return "it changed the sequences that it was given"
        wrong = _other(self.marks, _marks(self.model))
        if any(ATTRIBUTE in each for each in wrong):
            put_back(self.before)
            own = _by_itself(self.model, self.X)
            put_back(self.before)
            wrong = [each for each in wrong if each not in own]
        return f"it changed {' and '.join(wrong)}" if wrong else ""


def _other(before: Marks, now: Marks) -> list[str]:
    """In the order of what was there before, then what is new."""
    return [what for what in {**before, **now} if before.get(what) != now.get(what)]


def _by_itself(model: Any, X: Tensor) -> set[str]:
    """What a model changes of itself when it is asked: a counter, what it keeps of its last answer."""
    found: set[str] = set()
    device, dtype = home(model, X)
    for count in (1, min(2, len(X))):
        before = _marks(model)
        model(X[:count].detach().to(device, dtype, copy=True))
        found |= {each for each in _other(before, _marks(model)) if ATTRIBUTE in each}
    return found


def _differs(first: Explained, second: Explained) -> str:
    for what, name in (
        ("scores", "positions"),
        ("scores of letters", "letters"),
        ("error bars", "error_bar"),
    ):
        a, b = getattr(first, name), getattr(second, name)
        if (a is None) != (b is None):
            return f"it is not deterministic: it gives {what} at one time and none at another"
        if a is not None and not (off := (a - b).norm()) <= SAME * a.norm():
            return (
                f"it is not deterministic: asked again with the same seed its {what} differ by "
                f"{float(off / a.norm()):.2g} of their size"
            )
    return ""
