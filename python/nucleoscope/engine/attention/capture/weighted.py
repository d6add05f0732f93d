"""A softmax in a graph, however written, and the products that sum values with its weights."""

from __future__ import annotations

from collections.abc import Iterator
from string import ascii_letters
from typing import NamedTuple

import torch
from torch.fx import Node

from nucleoscope.engine.attention.capture.axes import TURNED, turned
from nucleoscope.engine.attention.capture.logits import SAME, moves_heads_only, source
from nucleoscope.engine.attention.capture.products import Product, product, rank, shape

aten = torch.ops.aten
SOFTMAX = (aten.softmax.int, aten._softmax.default, aten._safe_softmax.default)
LOGARITHM = (aten.log_softmax.int, aten._log_softmax.default)


class Weighted(NamedTuple):
    """A product of weights and values, and its labels of what the weights' axes are."""

    product: Product
    weights: Node
    values: tuple[Node, str]
    lead: str
    query: str
    key: str

    @property
    def heads(self) -> tuple[int, ...]:
        """The sizes of the axes before queries and keys."""
        first, second = self.product.labels[:2]
        own = second if self.values[1] is first else first
        size = dict(zip(own, shape(self.weights), strict=True))
        return tuple(size[each] for each in self.lead)


def logits_of(node: Node) -> Node | None:
    """What a node is the softmax of, over its last axis; None where it is none."""
    if node.op != "call_function" or rank(node) < 2:
        return None
    if node.target in SOFTMAX:
        return source(node) if _last(node.args[1], node) else None
    if node.target is aten.exp.default:
        inner = _under(source(node))
        if inner.target in LOGARITHM and _last(inner.args[1], inner):
            return source(inner)
    if node.target is aten.div.Tensor and all(isinstance(each, Node) for each in node.args[:2]):
        top, whole = (_under(each) for each in node.args[:2])  # type: ignore[arg-type]
        summed = whole.target is aten.sum.dim_IntList and len(whole.args) == 3 and whole.args[2]
        if top.target is aten.exp.default and summed and _under(source(whole)) is top:
            (axis,) = whole.args[1] if len(whole.args[1]) == 1 else (0,)  # type: ignore[arg-type, misc]
            return source(top) if _last(axis, top) else None
    return None


def weighted_by(softmax: Node) -> Iterator[Weighted]:
    """The products that sum values with these weights over their keys."""
    waiting = [(softmax, ascii_letters[: rank(softmax)])]
    query, key = waiting[0][1][-2], waiting[0][1][-1]
    while waiting:
        at, names = waiting.pop()
        for user in at.users:
            if user.target in SAME:
                waiting.append((user, names))
            elif user.target in TURNED:
                order = turned(user, rank(at))
                waiting.append((user, "".join(names[each] for each in order)))
            elif moves_heads_only(user) and {*names[-2:]} == {query, key}:
                fresh = [each for each in ascii_letters if each not in names]
                waiting.append((user, "".join(fresh[: rank(user) - 2]) + names[-2:]))
            elif (made := product(user)) is not None:
                first = made.first is at
                own, others = made.labels[:2] if first else made.labels[1::-1]
                of = dict(zip(names, own, strict=True))
                if made.summed and made.summed == of[key]:
                    lead = "".join(of[each] for each in names if each not in (query, key))
                    values = (made.second if first else made.first, others)
                    yield Weighted(made, at, values, lead, of[query], of[key])


def _under(node: Node) -> Node:
    while node.target in SAME and node.all_input_nodes:
        node = source(node)
    return node


def _last(axis: object, node: Node) -> bool:
    return axis in (-1, rank(node) - 1)
