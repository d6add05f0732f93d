"""Where rules are entered: aten op -> how a multiplier goes back through it.

A multiplier of a value is what a target grows by per unit of it, between a baseline and the sequence. A rule
takes those of an op's output and gives those of its inputs, such that::

    sum(m * (y(x) - y(b))) = sum over the inputs of sum(m_i * (x_i - b_i))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten
Values = tuple[Tensor, ...]  # of an op's inputs that the sequence reaches, each once


@dataclass(frozen=True)
class Call:
    """A traced call whose other arguments are settled."""

    node: torch.fx.Node
    reached: tuple[torch.fx.Node, ...]  # the inputs that the sequence reaches, each once
    run: Callable[..., Any]  # their values -> the op's output
    settled: Callable[[torch.fx.Node], Any]  # another input -> what it is

    def argument(self, index: int, name: str, default: Any = None) -> Any:
        """An argument that the sequence does not reach."""
        given = self.node.args
        held = given[index] if len(given) > index else self.node.kwargs.get(name, default)
        return self.settled(held) if isinstance(held, torch.fx.Node) else held

    def value(self, index: int, name: str, values: Values) -> Any:
        """An argument of any kind, where `values` are those of the inputs that the sequence reaches."""
        given = self.node.args
        held = given[index] if len(given) > index else self.node.kwargs.get(name)
        return (
            values[self.reached.index(held)] if held in self.reached else self.argument(index, name)
        )


# (the call, the output's multipliers, the inputs at the sequence, the inputs at the baseline); of an op with
# several outputs a tuple of multipliers
Secant = Callable[[Call, Tensor, Values, Values], Sequence[Tensor | None]]
SECANTS: dict[Any, Secant] = {}
# Ops that add up: their own derivative is the rule, wherever it is taken. None: of every input; else of those.
LINEAR: dict[Any, tuple[int, ...] | None] = {}


def secant(*targets: Any) -> Callable[[Secant], Secant]:
    """Enter a rule for these ops."""

    def enter(rule: Secant) -> Secant:
        SECANTS.update(dict.fromkeys(targets, rule))
        return rule

    return enter


def derivative(run: Callable[..., Any], at: Values, m: Tensor) -> tuple[Tensor | None, ...]:
    """The multipliers m of what `run` gives times its derivative at some values."""
    with torch.enable_grad():
        leaves = tuple(t.detach().requires_grad_() for t in at)
        return torch.autograd.grad(run(*leaves), leaves, m, allow_unused=True)
