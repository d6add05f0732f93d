"""Layers as one step: what a convolution's output goes through before anything else reads it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from nucleoscope.engine.graph import Graph, Node
from nucleoscope.engine.rules.arithmetic import Scale, Sum
from nucleoscope.engine.rules.conv import Conv
from nucleoscope.engine.rules.pointwise import Pointwise

Join = Callable[[Node, int, Conv], Conv | None]


def fuse(graph: Graph) -> Graph:
    """Join each convolution with the BatchNorm, the ReLU and the residual behind it.

    A step is joined where nothing else reads the convolution's output; it takes the step's place.
    """
    nodes = dict(graph.nodes)
    readers = _readers(graph)
    for name, node in graph.nodes.items():
        inputs = node.rule.inputs if node.rule else ()
        for index, source in enumerate(inputs):
            behind = nodes[source]
            if not isinstance(behind.rule, Conv) or readers[source] != 1:
                continue
            joined = _join(node, index, behind.rule)
            if joined is not None:
                module = " + ".join(dict.fromkeys(m for m in (behind.module, node.module) if m))
                nodes[name] = replace(node, axes=joined.axes, rule=joined, module=module)
                break
    return Graph(graph.program, nodes, graph.edited, graph.others, graph.output)


def _join(node: Node, index: int, conv: Conv) -> Conv | None:
    """The convolution with this step behind it, or None where they stay two."""
    rule = node.rule
    if isinstance(rule, Scale) and not (
        rule.per_position or conv.scale or conv.reads or _joined(conv)
    ):
        return replace(conv, axes=rule.axes, scale=rule.factor)
    if isinstance(rule, Pointwise) and rule.function == "relu" and not conv.reads:
        return replace(conv, axes=rule.axes, reads=rule.reads, residual_first=_joined(conv))
    if (
        isinstance(rule, Sum)
        and rule.factors == (1.0, 1.0)
        and not (conv.looks_up or _joined(conv))
    ):
        other = rule.inputs[1 - index]
        return replace(conv, axes=rule.axes, inputs=(conv.inputs[0], other))
    return None


def _joined(conv: Conv) -> bool:
    return len(conv.inputs) > 1


def _readers(graph: Graph) -> Counter[str]:
    """How often each node's delta is read: by rules, by the tail, by the request."""
    by_rules = (n for node in graph.nodes.values() if node.rule for n in node.rule.inputs)
    return Counter(graph.resolve(n) for n in (*by_rules, *graph.frontier, graph.output))
