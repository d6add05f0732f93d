"""What every question takes: a model that is ready, sequences, and what is read off the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nucleoscope.engine.answers.read import Func, Read
from nucleoscope.engine.answers.steady import check_finite
from nucleoscope.engine.tracing.cache import doubled
from nucleoscope.reading import read_model, read_others, read_sequences


@dataclass(frozen=True)
class Asking:
    """A model, its inputs and one target."""

    model: nn.Module
    X: Tensor  # [N, 4, L]
    args: tuple[Tensor, ...]
    read: Read

    def value(self, X: Tensor, args: tuple[Tensor, ...] | None = None) -> Tensor:
        """The target of sequences [B, 4, L], [B]."""
        given = self.args if args is None else args
        return self.read(self.read.ask(self.model, X, *given))[:, 0]

    def repeated(self, n: int) -> tuple[Tensor, ...]:
        """The further inputs of each sequence n times."""
        return tuple(each.repeat_interleave(n, 0) for each in self.args)


def asking(
    model: nn.Module,
    X: Tensor,
    args: tuple[Tensor, ...] | None,
    target: Any,
    func: Func | None,
) -> Asking:
    """Check a request. Raises TypeError or ValueError, naming the argument."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
    if isinstance(target, list):
        raise ValueError("target: one target a question; ask again for the others")
    if func is not None and not callable(func):
        raise TypeError(f"func={func!r}: a function of the model's output [B, ...]")
    dtype = read_model(model)
    check_finite(model)
    read_sequences(X, "ACGT", "NCL")
    others = read_others(args, len(X))
    return Asking(model, X.detach().to(dtype), others, Read(target, func))


def judge(asked: Asking) -> Asking | None:
    """The same of a copy in float64, which judges; None where forward fixes the type of its numbers (.float())."""
    args = tuple(each.double() if each.is_floating_point() else each for each in asked.args)
    made = Asking(doubled(asked.model), asked.X.double(), args, asked.read)
    try:
        with torch.no_grad():
            found = made.value(made.X[:1], tuple(each[:1] for each in args))
    except (
        RuntimeError
    ):  # torch's own, of operands of two types: a model that cannot be asked at all was told before
        return None
    return made if found.dtype == torch.float64 else None


def gradient(value: Callable[[Tensor], Tensor], X: Tensor) -> tuple[Tensor, Tensor]:
    """What is asked for at X [B, 4, L], and its gradient: [B], [B, 4, L]."""
    with torch.enable_grad():
        leaf = X.detach().clone().requires_grad_()
        made = value(leaf)
        if not made.requires_grad:
            raise ValueError("model: what is read off its output has no gradient with respect to X")
        (found,) = torch.autograd.grad(made.sum(), leaf)
    return made.detach(), found
