"""A product whose numbers are moved: whether a key's distance from its query alone decides which one it reads."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor
from torch.fx import Node

from nucleoscope.engine.attention.capture.logits import Term
from nucleoscope.engine.attention.capture.places import flat, grid, origins
from nucleoscope.engine.attention.capture.products import shape

aten = torch.ops.aten

READ = {  # what moves numbers to where other tensors say
    aten.gather.default, aten.take_along_dim.default, aten.index.Tensor, aten.index_select.default,
}  # fmt: skip
FOUND = "column of distance"
PLACES = 1 << 19  # of the matrix of queries and keys that are asked about at once


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


def column_of_distance(term: Term, held: dict[Node, Tensor], device: torch.device) -> Tensor | None:
    """Which column of [.., query, kind] each distance key - query reads, [Lq + Lk - 1] from -(Lq - 1) on.

    None where logits do not read the same head and query at a column that the distance alone decides. Where
    no other tensor has a say in it, it is found once.
    """
    if any(step.target in READ for step in term.path):
        return _column_of_distance(term, held, device)
    if FOUND not in term.at.meta:
        term.at.meta[FOUND] = _column_of_distance(term, held, device)
    found: Tensor | None = term.at.meta[FOUND]
    return found if found is None else found.to(device)


def _column_of_distance(
    term: Term, held: dict[Node, Tensor], device: torch.device
) -> Tensor | None:
    begin, end = shape(term.product.node), shape(term.at)
    queries, keys = end[-2:]
    if prod(begin[:-2]) != prod(end[:-2]) or not begin[-2] == queries == keys:
        return None
    first = grid(end, range(1), range(keys), device)
    column = origins(term.path, first, held)[-1].expand(*end[:-2], 1, keys).reshape(-1, keys)[0]
    first = grid(end, range(queries), range(1), device)
    row = origins(term.path, first, held)[-1].expand(*end[:-2], queries, 1).reshape(-1, queries)[0]
    found = torch.cat([row[1:].flip(0), column])
    step = max(1, PLACES // keys)
    for at in range(0, queries, step):
        rows = range(at, min(at + step, queries))
        asked = grid(end, rows, range(keys), device)
        *lead, query, kind = origins(term.path, asked, held)
        distance = asked[-1] - asked[-2] + queries - 1
        same = (
            (flat(lead, begin[:-2]) == flat(asked[:-2], end[:-2])).all()
            & (query == asked[-2]).all()
            & (kind == found[distance]).all()
        )
        if not bool(same):
            return None
    return found


def laid_out(product: Tensor, term: Term, held: dict[Node, Tensor]) -> Tensor:
    """A product's numbers [1, H, Lq, kinds] at their places in the logits [1, H, Lq, Lk]."""
    begin, end = shape(term.product.node), shape(term.at)
    step, made = max(1, PLACES // (prod(end[:-2]) * end[-1])), []
    for at in range(0, end[-2], step):
        rows = range(at, min(at + step, end[-2]))
        asked = grid(end, rows, range(end[-1]), product.device)
        number = flat(origins(term.path, asked, held), begin)
        made.append(product.reshape(-1)[number.expand(*end[:-2], len(rows), end[-1])])
    return torch.cat(made, -2).reshape(1, -1, *end[-2:])
