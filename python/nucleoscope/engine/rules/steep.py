"""Steep functions end locality where their argument may come near their pole.

log, sqrt and 1 / x near 0 read digits of the edited value that original plus delta has not got: a
value that falls from 20 to 1e-6 has none. What bounds it from below is exact only in the model
itself, so the tail begins there, before the ReLU, clamp or sigmoid.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch

from nucleoscope.engine.rules.bounds import SPANS, span
from nucleoscope.engine.rules.registry import aten

# So far from the pole an edited value keeps 1e-5 of itself beside an original of 20. Where the graph
# tells that originals may be larger, it must be further in proportion.
MARGIN, BESIDE = 0.1, 20.0
EXP_UP_TO = 3.0  # beside an original of e^30 even 1 + e^x has no digits left
POLES = {
    aten.log.default: 0.0, aten.log2.default: 0.0, aten.log10.default: 0.0,
    aten.log1p.default: -1.0,
    aten.sqrt.default: 0.0, aten.rsqrt.default: 0.0, aten.reciprocal.default: 0.0,
}  # fmt: skip
SOFTMAX = (aten.softmax.int, aten._softmax.default)


def seams(graph: torch.fx.Graph, edited: str) -> dict[torch.fx.Node, str]:
    """The values that edits may not pass as deltas, each with the reason."""
    found: dict[torch.fx.Node, str] = {}
    reached: set[torch.fx.Node] = set()
    for node in graph.nodes:
        if node.name == edited or not reached.isdisjoint(node.all_input_nodes):
            reached.add(node)
        for pole, argument in _steep(node):
            if argument not in reached:
                continue
            bounded = list(_bounded(argument))
            low, high = span(argument)
            least = pole + MARGIN * (max(1.0, (high - pole) / BESIDE) if high < math.inf else 1.0)
            near = low < least
            if near or any(_explodes(each) for each in bounded):
                reason = (
                    f"{node.target} reads it and is steep at {pole:g}, where original plus delta has "
                    f"no digits left; what never falls below {least:g} would stay local"
                )
                found |= dict.fromkeys([*bounded, node], reason)
    return found


def _steep(node: torch.fx.Node) -> Iterator[tuple[float, torch.fx.Node]]:
    """(pole, the argument that may come near it)."""
    given: Any = node.args
    if node.target in POLES:
        if not (node.target is aten.log.default and given[0].target in SOFTMAX):
            yield POLES[node.target], given[0]
    elif node.target is aten.pow.Tensor_Scalar:
        if given[1] < 0 or given[1] != int(given[1]):
            yield 0.0, given[0]
    elif node.target is aten.div.Tensor and isinstance(given[1], torch.fx.Node):
        yield 0.0, given[1]


def _bounded(node: torch.fx.Node) -> Iterator[torch.fx.Node]:
    """This value and those it is made of, back to where nothing bounds them from below.

    What nothing bounds crosses the pole anywhere, and an absolute error does there what it does in
    the model.
    """
    seen: set[torch.fx.Node] = set()
    waiting = [node]
    while waiting:
        each = waiting.pop()
        made_of = [each, *each.all_input_nodes] if each.target in SPANS else []
        if each not in seen and any(span(part).low > -math.inf for part in made_of):
            seen.add(each)
            yield each
            waiting += each.all_input_nodes


def _explodes(node: torch.fx.Node) -> bool:
    return node.target is aten.exp.default and span(node.args[0]).high > EXP_UP_TO
