"""Values broadcast over channels: copies of a delta, written out as `expand` by rewrites."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor

from nucleoscope.engine.graph import Axes, NotLocal, vector
from nucleoscope.engine.rules.fold import split_at
from nucleoscope.engine.rules.layout import Channels
from nucleoscope.engine.rules.registry import Lowering, aten, rule, sample_shape
from nucleoscope.engine.rules.rewrites import REWRITES, is_weight
from nucleoscope.engine.step import Alias

BROADCAST = (
    aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor, aten.maximum.default,
    aten.minimum.default,
)  # fmt: skip


def _written_out(op: Any) -> Callable[..., Any]:
    """The op with those of its operands that have a batch spread to the shape of the result."""

    def form(a: Tensor, b: Any, **rest: Any) -> Any:
        if not isinstance(b, Tensor) or a.ndim != b.ndim:
            return NotImplemented
        shape = torch.broadcast_shapes(a.shape, b.shape)
        narrow = [not is_weight(t) and t.shape != shape for t in (a, b)]
        if not any(narrow):
            return NotImplemented
        spread = (t.expand(shape) if wide else t for t, wide in zip((a, b), narrow, strict=True))
        return op(*spread, **rest)

    return form


REWRITES.update({op: _written_out(op) for op in BROADCAST})


@rule(aten.expand.default)
def lower_expand(low: Lowering, node: torch.fx.Node) -> Alias | Channels:
    source: Any = node.args[0]
    axes, shape, name = low.axes(source), sample_shape(node), low.ripple(source)
    first, end = _length_dims(axes)
    if len(shape) != len(axes.shape):
        raise NotLocal("it moves the batch to another dimension")
    copies = [new for new, old in zip(shape, axes.shape, strict=True) if new != old]
    if axes.length > 1 and axes.length in copies:
        raise NotLocal("it is spread over as many copies as there are positions: a map of pairs")
    if axes.length == 1 and _meets_a_length(low, node):
        raise NotLocal("what stands for the whole length is spread over its positions")
    old, new = (
        [1 if first <= dim < end else size for dim, size in enumerate(sizes)]
        for sizes in (axes.shape, shape)
    )
    index = tuple(torch.arange(prod(old)).view(old).expand(new).reshape(-1).tolist())
    out = (
        Axes(shape, prod(shape[:first]), axes.length, prod(shape[end:]))
        if first < end
        else vector(shape)
    )
    if index == tuple(range(axes.channels)):
        return Alias(name, out)
    return Channels((name,), out, (), index)


def _length_dims(axes: Axes) -> tuple[int, int]:
    """The dimensions that are the length: one, two where it is split, none in a vector."""
    if axes.length == 1:
        return 0, 0
    if axes.dim is not None:
        return axes.dim, axes.dim + 1
    within = split_at(axes)
    if within is None:
        raise NotLocal("the length axis is merged with another axis here")
    return within - 1, within + 1


def _meets_a_length(low: Lowering, node: torch.fx.Node) -> bool:
    """Whether something along the length is what it is spread for."""
    beside = (arg for user in node.users for arg in user.all_input_nodes if arg is not node)
    return any(
        low.nodes.get(a.name) and low.is_ripple(a) and low.axes(a).length > 1 for a in beside
    )


def spread_before_softmax(graph: torch.fx.Graph) -> None:
    """Copies of a softmax are the softmax of copies: so weights for many channels are a pool's own."""
    for copies in [n for n in graph.nodes if n.target is aten.expand.default]:
        softmax: Any = copies.args[0]
        if softmax.target is not aten.softmax.int or len(softmax.users) > 1:
            continue
        shapes = [n.meta["val"].shape for n in (softmax, copies)]
        if (
            len(shapes[0]) != len(shapes[1])
            or shapes[0][softmax.args[1]] != shapes[1][softmax.args[1]]
        ):
            continue
        with graph.inserting_before(copies):
            logits = graph.call_function(copies.target, (softmax.args[0], *copies.args[1:]))
            weights = graph.call_function(softmax.target, (logits, *softmax.args[1:]))
        logits.meta, weights.meta = dict(copies.meta), dict(softmax.meta)
        weights.meta["val"] = copies.meta["val"]
        copies.replace_all_uses_with(weights)
        graph.erase_node(copies)
        graph.erase_node(softmax)
