"""Values broadcast over channels: copies of a delta, written out as `expand` by rewrites."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor

from nucleoscope.engine.graph import Axes, NotLocal, vector
from nucleoscope.engine.rules.layout import Channels
from nucleoscope.engine.rules.registry import Lowering, aten, rule, sample_shape
from nucleoscope.engine.rules.rewrites import REWRITES, is_weight
from nucleoscope.engine.step import Alias

BROADCAST = (
    aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor, aten.maximum.default,
    aten.minimum.default, aten.rsub.Tensor,
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
    if axes.length > 1 and axes.dim is None:
        raise NotLocal("the length axis is merged with another axis here")
    if len(shape) != len(axes.shape):
        raise NotLocal("it moves the batch to another dimension")
    copies = [new for new, old in zip(shape, axes.shape, strict=True) if new != old]
    if axes.length > 1 and axes.length in copies:
        raise NotLocal("it is spread over as many copies as there are positions: a map of pairs")
    if axes.length == 1 and _meets_a_length(low, node):
        raise NotLocal("what stands for the whole length is spread over its positions")
    where = axes.dim
    old = [1 if dim == where else size for dim, size in enumerate(axes.shape)]
    new = [1 if dim == where else size for dim, size in enumerate(shape)]
    index = tuple(torch.arange(prod(old)).view(old).expand(new).reshape(-1).tolist())
    if where is None:
        out = vector(shape)
    else:
        out = Axes(shape, prod(shape[:where]), axes.length, prod(shape[where + 1 :]))
    if index == tuple(range(axes.channels)):
        return Alias(name, out)
    return Channels((name,), out, (), index)


def _meets_a_length(low: Lowering, node: torch.fx.Node) -> bool:
    """Whether something along the length is what it is spread for."""
    beside = (arg for user in node.users for arg in user.all_input_nodes if arg is not node)
    return any(low.nodes.get(a.name) and low.is_ripple(a) and low.axes(a).length > 1 for a in beside)
