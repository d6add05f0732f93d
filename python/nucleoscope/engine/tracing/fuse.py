"""Layers as one step: what is done to an output before anything else reads it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from nucleoscope.engine.graph import Graph, Node, Rule
from nucleoscope.engine.rules.arithmetic import Scale, Sum
from nucleoscope.engine.rules.conv import Conv
from nucleoscope.engine.rules.layout import Move
from nucleoscope.engine.rules.pointwise import Pointwise
from nucleoscope.engine.rules.pool import MaxPool
from nucleoscope.engine.rules.reduction import Reduction
from nucleoscope.engine.windows import Stencil


def fuse(graph: Graph) -> Graph:
    """Join each convolution with the BatchNorm, the ReLU and the residual behind it, each max-pool with the ReLU
    before it, and each cut with the sum over the length behind it.

    A step is joined where nothing else reads what is before it; both then stand in the step's place.
    """
    nodes = dict(graph.nodes)
    readers = _readers(graph)
    for name, node in graph.nodes.items():
        inputs = node.rule.inputs if node.rule else ()
        for index, source in enumerate(inputs):
            behind = nodes[source]
            if readers[source] == 1 and (
                pool := _without_relu(node.rule, graph.nodes[source].rule)
            ):
                nodes[name] = replace(node, rule=pool)
                break
            joined = _join(node, index, behind.rule) if readers[source] == 1 else None
            if joined is not None:
                module = " + ".join(dict.fromkeys(m for m in (behind.module, node.module) if m))
                nodes[name] = replace(node, axes=joined.axes, rule=joined, module=module)
                break
    return Graph(graph.program, nodes, graph.edited, graph.others, graph.output)


def _join(node: Node, index: int, before: Rule | None) -> Rule | None:
    """Two steps as one, or None where they stay two."""
    if isinstance(before, Conv):
        return _behind_conv(node, index, before)
    if isinstance(before, Move) and isinstance(node.rule, Reduction):
        return _sum_of_part(node.rule, before)
    return None


def _without_relu(rule: Rule | None, before: Rule | None) -> MaxPool | None:
    """A max-pool with the ReLU before it, whose output need not be made then, nor kept of the original."""
    if not (
        isinstance(rule, MaxPool) and isinstance(before, Pointwise) and before.function == "relu"
    ):
        return None
    return replace(rule, inputs=before.inputs, reads=(*before.reads, rule.reads[1]), relu=True)


def _sum_of_part(rule: Reduction, cut: Move) -> Reduction | None:
    """The sum over what a cut or a pad leaves, taken where the positions come from."""
    where = cut.where
    if not (rule.chained and isinstance(where, Stencil) and where.stride == 1):
        return None
    return replace(rule, inputs=cut.inputs, first=rule.first - where.pad)


def _behind_conv(node: Node, index: int, conv: Conv) -> Conv | None:
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
