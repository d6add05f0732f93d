"""Where attention's heads go: the linear layer behind them, and which of its columns reads which channel."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.fx import Node

from nucleoscope.engine.capture.logits import LAYOUT, SAME, NotCaptured
from nucleoscope.engine.capture.products import shape
from nucleoscope.engine.capture.shifts import origins

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
    whole = torch.arange(1, torch.Size(shape(node)).numel() + 1).view(shape(node))
    moved = origins(tuple(path), node, {}) if path else whole
    columns = moved.reshape(-1, moved.shape[-1])[0].long() - 1  # of the first token
    made, order = labels
    turned = whole.permute([made.index(each) for each in order])
    heads = turned.reshape(-1, *turned.shape[-2:])[:, 0] - 1  # [H, E], of the first query
    back = {int(place): column for column, place in enumerate(columns.tolist())}
    if any(int(place) not in back for place in heads.flatten().tolist()):
        raise NotCaptured("a linear layer reads its heads in no order that could be followed")
    listed = [back[int(place)] for place in heads.flatten().tolist()]
    return weight, torch.tensor(listed).view(heads.shape)


def _linear(user: Node, at: Node) -> bool:
    return user.target is aten.linear.default and user.args[0] is at
