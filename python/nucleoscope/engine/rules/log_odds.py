"""Log-odds of a probability, read from what the sigmoid or softmax was given: no two numbers cancel.

`torch.logit` of a sigmoid is the sigmoid's argument, and of a softmax each logit less the logsumexp of the
others. What only moves numbers between the two (a slice, a reshape) is done to the log-odds instead.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nucleoscope.engine.rules.registry import aten

MOVES = (
    aten.slice.Tensor, aten.select.int, aten.view.default, aten.reshape.default, aten.squeeze.dim,
    aten.squeeze.dims, aten.squeeze.default, aten.unsqueeze.default, aten.flatten.using_ints,
    aten.transpose.int, aten.permute.default, aten.clone.default, aten.contiguous.default,
    aten._unsafe_view.default, aten.unflatten.int, aten.alias.default, aten.detach.default,
)  # fmt: skip
SOFTMAX = (aten.softmax.int, aten._softmax.default)
MOST_CLASSES = 32  # of a softmax: each has a logsumexp of its own


def before_saturation(graph: torch.fx.Graph) -> None:
    """Rewrite every logit of a traced sigmoid or softmax."""
    for node in [n for n in graph.nodes if n.target is aten.logit.default]:
        if len(node.args) > 1 and node.args[1] is not None:
            continue  # it is clamped: that is another function
        moves: list[torch.fx.Node] = []
        source: Any = node.args[0]
        while source.target in MOVES:
            moves.append(source)
            source = source.args[0]
        with graph.inserting_before(node):
            odds = _of(graph, source)
            if odds is None:
                continue
            for move in reversed(moves):
                odds = _call(graph, move.target, (odds, *move.args[1:]), move)
        node.replace_all_uses_with(odds)
        graph.erase_node(node)
    graph.eliminate_dead_code()


def _of(graph: torch.fx.Graph, made: torch.fx.Node) -> torch.fx.Node | None:
    """The log-odds of what a sigmoid or softmax makes; None of anything else."""
    if made.target is aten.sigmoid.default:
        given: Any = made.args[0]
        return given if isinstance(given, torch.fx.Node) else None
    if made.target not in SOFTMAX:
        return None
    logits: Any = made.args[0]
    axis: Any = made.args[1]

    def call(op: Any, *args: Any) -> torch.fx.Node:
        return _call(graph, op, args, made)

    rank, many = logits.meta["val"].ndim, logits.meta["val"].shape[axis]
    odds: torch.fx.Node | None = _odds(call, logits, axis % rank, many)
    return odds


def odds_of_softmax(logits: Tensor, axis: int) -> Tensor:
    """Each class's logit less the logsumexp of the others', of logits as they are."""
    many = logits.shape[axis]
    found = _odds(lambda op, *args: op(*args), logits, axis % logits.ndim, many)
    return torch.logit(torch.softmax(logits, axis)) if found is None else found


def _odds(call: Any, logits: Any, axis: int, many: Any) -> Any:
    """The same by calls of ops; None where there are too many classes, or one."""
    if not isinstance(many, int) or not 1 < many <= MOST_CLASSES:
        return None
    each = [call(aten.slice.Tensor, logits, axis, c, c + 1) for c in range(many)]
    odds = []
    for c in range(many):
        rest = [e for i, e in enumerate(each) if i != c]
        others = rest[0]
        if many > 2:
            others = call(aten.logsumexp.default, call(aten.cat.default, rest, axis), [axis], True)
        odds.append(call(aten.sub.Tensor, each[c], others))
    return call(aten.cat.default, odds, axis)


def _call(
    graph: torch.fx.Graph, op: Any, args: tuple[Any, ...], like: torch.fx.Node
) -> torch.fx.Node:
    """A call with the value that tracing would have noted, and the source line of another."""
    node = graph.call_function(op, args)
    values = torch.fx.node.map_arg(args, lambda each: each.meta["val"])
    mode = like.meta["val"].fake_mode
    with mode:
        made = op(*values)
    node.meta = {**like.meta, "val": made}
    return node
