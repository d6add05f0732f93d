"""Where moved numbers come from: a chain of reshapes, cuts and gathers, found by running it on indices."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.fx import Node
from torch.utils._pytree import tree_map_only

from nucleoscope.engine.capture.logits import SAME, Term
from nucleoscope.engine.capture.products import shape

aten = torch.ops.aten

SCALED = {aten.mul.Tensor, aten.div.Tensor, aten.mul.Scalar, aten.div.Scalar}
ROWS = 512  # queries that are compared at once


def origins(path: tuple[Node, ...], begin: Node, others: dict[Node, Tensor]) -> Tensor:
    """For each number at the end of a path, which of `begin`'s it is, from 1; 0 where it is none.

    `others` holds what else the path reads as numbers of places, such as the positions of a gather; of
    other tensors, laid beside what is moved, the shape alone counts.
    """
    size = shape(begin)
    count = torch.Size(size).numel()
    kind = torch.int32 if count < 2**31 - 1 else torch.int64
    device = next((t.device for t in others.values()), torch.device("cpu"))
    made: dict[Node, Any] = {
        begin: torch.arange(1, count + 1, dtype=kind, device=device).view(size)
    }

    def value(node: Node) -> Any:
        if node in made:
            return made[node]
        if node in others:
            return others[node]
        if node.target in SAME | SCALED and any(n in made for n in node.all_input_nodes):
            return value(next(n for n in node.all_input_nodes if n in made))  # a cast, a factor
        return torch.zeros(shape(node), dtype=kind, device=device)

    for node in path:
        args, kwargs = tree_map_only(Node, value, (list(node.args), dict(node.kwargs)))
        viewed = node.target in (aten.view.default, aten._unsafe_view.default)
        step: Any = aten.reshape.default if viewed else node.target  # clones between are left out
        made[node] = step(*args, **kwargs)
    last: Tensor = made[path[-1]]
    return last


def axes_of(term: Term) -> str | None:
    """The labels of a product's axes where the logits read it; None where it is more than turned."""
    made = term.product.labels[2]
    for node in term.path:
        if node.target is aten.permute.default:
            made = "".join(made[at] for at in node.args[1])  # type: ignore[union-attr, index]
        elif node.target is aten.transpose.int:
            one, two = (int(at) % len(made) for at in node.args[1:])  # type: ignore[arg-type]
            axes = list(made)
            axes[one], axes[two] = axes[two], axes[one]
            made = "".join(axes)
        else:
            return None
    return made


def column_of_distance(origin: Tensor, lead: int, kinds: int) -> Tensor | None:
    """Which column of [.., query, kind] each distance key - query reads, [Lq + Lk - 1] from -(Lq - 1) on.

    `origin` [.., Lq, Lk] are places in [lead, Lq, kinds]. None where they are not those of the same head
    and query at a column that the distance alone decides.
    """
    queries, keys = origin.shape[-2:]
    flat = origin.reshape(-1, queries, keys)
    if len(flat) != lead:
        return None
    column = flat[0] - 1 - torch.arange(queries, device=flat.device)[:, None] * kinds
    found = torch.cat([column[1:, 0].flip(0), column[0]])
    if int(found.min()) < 0 or int(found.max()) >= kinds:
        return None
    for begin in range(0, queries, ROWS):
        end = min(begin + ROWS, queries)
        at = torch.arange(begin, end, device=flat.device)
        distance = torch.arange(keys, device=flat.device) - at[:, None] + queries - 1
        expected = found[distance] + at[:, None] * kinds + 1
        for head in range(lead):
            if not torch.equal(flat[head, begin:end], expected + head * queries * kinds):
                return None
    return found.long()
