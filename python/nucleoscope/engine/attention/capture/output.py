"""Where attention's heads go: the linear layer behind them, and which of its columns reads which channel."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor
from torch.fx import Node

from nucleoscope.engine.attention.capture.logits import LAYOUT, SAME, NotCaptured
from nucleoscope.engine.attention.capture.places import flat, origins
from nucleoscope.engine.attention.capture.products import shape

aten = torch.ops.aten


def projection(node: Node, labels: tuple[str, str]) -> tuple[Node, Tensor]:
    """The weight of the linear layer that reads attention, and its column for each head's channel [H, E].

    `labels`: the axes of `node`, and in which order heads, queries and channels are. Raises NotCaptured.
    """
    path: list[Node] = []
    at = node
    while True:
        users = [u for u in at.users if u.target in SAME or u.target in LAYOUT or _linear(u, at)]
        if len(users) != 1:
            raise NotCaptured(
                "what its heads give goes into no one linear layer, so keys have no norms"
            )
        if _linear(users[0], at):
            break
        at = users[0]
        if at.target in LAYOUT:
            path.append(at)
    weight = users[0].args[1]
    assert isinstance(weight, Node)
    size = shape(path[-1] if path else node)
    first = [torch.zeros((), dtype=torch.int64)] * (len(size) - 1)  # token
    came = origins(tuple(path), [*first, torch.arange(size[-1])], {})
    made, order = labels
    *lead, _, channel = (made.index(each) for each in order)
    heads = [shape(node)[axis] for axis in lead]
    column = torch.full((prod(heads), shape(node)[channel]), -1)
    column[flat([came[axis] for axis in lead], heads), came[channel]] = torch.arange(size[-1])
    if bool((column < 0).any()):
        raise NotCaptured("a linear layer reads its heads in no order that could be followed")
    return weight, column


def _linear(user: Node, at: Node) -> bool:
    return user.target is aten.linear.default and user.args[0] is at
