"""A graph in which each convolution's ReLU is a step of its own: what enters it adds up over edits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from nucleoscope.engine.graph import Graph, Node
from nucleoscope.engine.rules.arithmetic import Sum
from nucleoscope.engine.rules.conv import Conv
from nucleoscope.engine.rules.pointwise import Pointwise

SUMS = ":sums"  # behind the name of a convolution with a ReLU: what enters that
RELU = ":relu"  # what leaves it, where a residual is added then


def opened(graph: Graph) -> Graph:
    """The same graph, where no step that reads an original is linear in a part of it."""
    steps = (step for node in graph.nodes.values() for step in _steps(node))
    return replace(graph, nodes={step.name: step for step in steps})


def weight(packed: Mapping[str, Any], name: str) -> Any:
    """The packed weight of a step; one that was opened has that of the step it was."""
    return packed.get(name.removesuffix(SUMS))


def _steps(node: Node) -> Iterator[Node]:
    conv = node.rule
    if not (isinstance(conv, Conv) and conv.reads):
        yield node
        return
    sums, joined = node.name + SUMS, conv.inputs[1:]
    before, behind = (joined, ()) if conv.residual_first else ((), joined)
    plain = replace(conv, inputs=(conv.inputs[0], *before), reads=(), residual_first=False)
    relu = Pointwise((sums,), conv.axes, conv.reads, "relu")
    yield replace(node, name=sums, rule=plain)
    if not behind:
        yield replace(node, rule=relu)
        return
    yield replace(node, name=node.name + RELU, rule=relu)
    yield replace(node, rule=Sum((node.name + RELU, *behind), conv.axes, (), (1.0, 1.0)))
