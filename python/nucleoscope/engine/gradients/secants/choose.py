"""Which rule each op of a graph goes by, settled before anything is run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nucleoscope.engine.gradients.secants.composite import Composite, composites
from nucleoscope.engine.gradients.secants.products import PRODUCTS
from nucleoscope.engine.gradients.secants.registry import (
    LINEAR,
    SECANTS,
    Call,
    Values,
    aten,
    derivative,
)
from nucleoscope.engine.graph import Graph

IDENTITIES = (aten.detach.default, aten.alias.default, aten.lift_fresh_copy.default)
POINTS = 32  # of a path integral
# Rules for more than one input that the sequence reaches.
OF_SEVERAL = (
    aten.div.Tensor, aten.maximum.default, aten.minimum.default, aten.max.other, aten.min.other,
    aten.scaled_dot_product_attention.default,
)  # fmt: skip


UNREACHED = "target: nothing that it reads depends on the sequence"


class NoRule(ValueError):
    """An op of the model has no exact rule; the message names it and its line."""


@dataclass
class Chosen:
    """What runs, and which rule stands in for whose derivative."""

    live: set[str] = field(default_factory=set)
    rules: dict[str, Callable[..., Any]] = field(default_factory=dict)
    given: dict[str, tuple[torch.fx.Node, ...]] = field(
        default_factory=dict
    )  # what each rule reads
    inner: dict[str, tuple[torch.fx.Node, ...]] = field(default_factory=dict)  # of composites
    integrated: list[str] = field(default_factory=list)  # ops without a rule, as they are told


def chosen(graph: Graph, integrate: bool) -> Chosen:
    """The rule of every op that the sequence reaches and the output reads. Raises NoRule for an op without one."""
    reached = {n for n, node in graph.nodes.items() if node.role in ("ripple", "tail")}
    found, made = composites(graph.fx, reached), Chosen()
    by_name = {n.name: n for n in graph.fx}
    if graph.output not in reached:
        raise NoRule(UNREACHED)
    stack, lacking = [by_name[graph.output]], list[str]()
    while stack:
        node = stack.pop()
        if node.name in made.live:
            continue
        made.live.add(node.name)
        inner = found[node.name].inner if node.name in found else (node,)
        stack += [a for each in inner for a in each.all_input_nodes if a not in inner]
        if node.op != "call_function" or node.name not in reached:
            continue
        given = tuple(n for n in dict.fromkeys(node.all_input_nodes) if n.name in reached)
        if node.name in found:
            made.inner[node.name], given = inner, (found[node.name].base,)
        rule = found.get(node.name) or rule_of(node, given)
        if rule is None:
            rule = _integral
            told = f"{node.target} at {graph.nodes[node.name].source}"
            (made.integrated if integrate else lacking).append(told)
        if rule is not autograd:
            made.rules[node.name], made.given[node.name] = rule, given
    if lacking:
        raise NoRule(
            f"model: no exact rule is known for {'; '.join(dict.fromkeys(lacking))}. Pass "
            "unknown='integrate' to average its derivative between baseline and sequence, which is not exact, or "
            "use integrated_gradients."
        )
    return made


def autograd(*_: Any) -> None:
    """Stands for ops that add up, whose multipliers go as gradients do."""
    raise AssertionError


def rule_of(
    node: torch.fx.Node, given: tuple[torch.fx.Node, ...]
) -> Composite | Callable[..., Any] | None:
    """The rule for a call, where the sequence reaches these of its inputs; None where there is none."""
    target: Any = node.target
    if target in IDENTITIES or getattr(target, "__name__", "") == "getitem":
        return autograd
    if target in LINEAR:
        places = LINEAR[target]
        allowed = (
            None if places is None else [a for i in places for a in _flat(node.args[i : i + 1])]
        )
        return autograd if allowed is None or all(n in allowed for n in given) else None
    if target in PRODUCTS:
        occurring = [a for a in _flat(node.args) if a in given]
        if len(occurring) < 2:
            return autograd
        return SECANTS[target] if len(occurring) == 2 or target in ADD_ALSO else None
    first = given == (node.args[0],)
    if target in SECANTS and (first or target in OF_SEVERAL):
        return SECANTS[target]
    return None


ADD_ALSO = (aten.addmm.default, aten.baddbmm.default)


def _flat(args: Sequence[Any]) -> list[torch.fx.Node]:
    found: list[torch.fx.Node] = []
    torch.fx.node.map_arg(tuple(args), found.append)
    return found


def _integral(call: Call, m: Any, x: Values, b: Values) -> Sequence[Tensor | None]:
    """m times the mean derivative along the straight line, by Gauss and Legendre's points."""
    nodes, weights = np.polynomial.legendre.leggauss(POINTS)
    total: list[Tensor | None] = [None] * len(b)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        at = tuple(q + (p - q) * float(node) for p, q in zip(x, b, strict=True))
        for i, part in enumerate(derivative(call.run, at, m)):
            if part is not None:
                held = total[i]
                total[i] = part * float(weight) if held is None else held + part * float(weight)
    return total
