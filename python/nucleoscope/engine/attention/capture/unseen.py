"""What mixes tokens by numbers of the input and is part of no captured layer: it is named, never passed over."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from string import ascii_letters

import torch
from torch.fx import Graph, Node

from nucleoscope.engine.attention.capture.axes import TOKENS, Along, labels_of, shape_of
from nucleoscope.engine.attention.capture.logits import LAYOUT, SAME, source

aten = torch.ops.aten
THROUGH = SAME | LAYOUT | {  # a sum over tokens behind these is one still
    aten.mul.Tensor, aten.div.Tensor, aten.mul.Scalar, aten.div.Scalar, aten.add.Tensor, aten.relu.default,
    aten.exp.default, aten.gelu.default, aten.softmax.int,
}  # fmt: skip
WEIGHED = (
    "tokens are weighed by numbers that are made of the input, and it is no softmax over one product of "
    "queries with keys that goes straight into the product with its values"
)
SUMMARY = (
    "tokens read a product that was summed over all of them, as in linear attention, but are not divided by the "
    "sum of their weights"
)


def unseen(
    graph: Graph, found: dict[Node, Along], known: Collection[Node]
) -> Iterator[tuple[Node, str]]:
    """The products that weigh tokens and are not `known`, each with the reason why it is none of a layer's."""
    summaries: set[Node] = set()
    for node in graph.nodes:
        parts = _parts(node)
        if not parts:
            if node.target in THROUGH and summaries & set(node.all_input_nodes):
                summaries.add(node)
            continue
        summed = _summed(parts, found)
        reads = _reads(parts, found)
        if node in known:
            continue
        if summed and reads:
            yield node, WEIGHED
        elif summed and not found[node].tokens:
            summaries.add(node)
        elif reads and any(n in summaries and not found[n].tokens for n, _ in parts[:-1]):
            yield node, SUMMARY


def _parts(node: Node) -> list[tuple[Node, str]]:
    """The operands of a product, then itself, with their labels; so of a product that is summed by itself too."""
    if node.op != "call_function":
        return []
    if node.target is not aten.sum.dim_IntList:
        return labels_of(node)
    times = source(node)
    while times.target in SAME and times.all_input_nodes:
        times = source(times)
    if times.target is not aten.mul.Tensor or len(times.all_input_nodes) != 2:
        return []
    size = shape_of(times)
    axes = {int(at) % len(size) for at in node.args[1]}  # type: ignore[union-attr, arg-type]
    own = ascii_letters[: len(size)]
    left = "".join(each for at, each in enumerate(own) if at not in axes)
    read = [(n, own[len(own) - len(shape_of(n)) :]) for n in times.all_input_nodes]
    return [*read, (node, left)]


def _holders(label: str, parts: list[tuple[Node, str]], found: dict[Node, Along]) -> list[bool]:
    """For each operand that moves with the input and has this axis: whether it runs along tokens there."""
    made = []
    for node, labels in parts[:-1]:
        if label in labels and found[node].moves and shape_of(node)[labels.index(label)] > 1:
            made.append(bool(found[node].axes[labels.index(label)] & TOKENS))
    return made


def _summed(parts: list[tuple[Node, str]], found: dict[Node, Along]) -> bool:
    """Whether tokens of two tensors are multiplied and summed."""
    labels = {each for _, own in parts[:-1] for each in own} - set(parts[-1][1])
    return any(len(held := _holders(each, parts, found)) > 1 and any(held) for each in labels)


def _reads(parts: list[tuple[Node, str]], found: dict[Node, Along]) -> bool:
    """Whether a result has tokens of one of the tensors alone: each reads all that is summed."""
    moving = sum(found[node].moves for node, _ in parts[:-1])
    held = (_holders(each, parts, found) for each in parts[-1][1])
    return moving > 1 and any(each == [True] for each in held)
