"""RMSNorm: each position over the root of the mean of its squares."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from nucleoscope.engine.graph import NotLocal, Rule, Static
from nucleoscope.engine.rows import zero_outside
from nucleoscope.engine.rules.norm import LIMIT
from nucleoscope.engine.rules.registry import Lowering, argument, aten, rule
from nucleoscope.engine.step import Step


@dataclass(frozen=True)
class RMSNorm(Rule):
    """r' d + z (r' - r), with r = 1 / sqrt(mean(z^2) + eps) and r' - r by the change of the mean.

    The edited mean of squares is taken of the edited values, not added up: it is as exact as they are,
    and NaN where an edit leaves so little of them that float32 holds no digits.
    """

    wide: int
    weight: str | None
    eps: float

    def pack(self, static: Static) -> Tensor | None:
        return None if self.weight is None else static(self.weight).reshape(-1)

    def delta(self, step: Step) -> Tensor:
        given = step.seen(0)
        assert given is not None
        z, d = (t.unflatten(3, (-1, self.wide)) for t in (step.original(self.reads[0]), given))
        was = (z.square().mean(-1, keepdim=True) + self.eps).sqrt()
        now = ((z + d).square().mean(-1, keepdim=True) + self.eps).sqrt()
        more = ((2.0 * z + d) * d).mean(-1, keepdim=True)
        made = (d - z * (more / (was * (was + now)))) / now
        made = made if step.packed is None else made * step.packed
        size, changed = (t.abs().amax(-1, keepdim=True) for t in (z, d))
        limit = LIMIT[d.dtype]
        lost = (size > limit * torch.minimum(was, now)) | (changed > limit * now)
        made = made.masked_fill(lost & (changed > 0), torch.nan)
        return zero_outside(made.flatten(3), step.rows)


def pin_eps(graph: torch.fx.Graph) -> None:
    """An eps that is left open is the number type's own, which is the model's and not the engine's."""
    for node in graph.nodes:
        if node.target is aten.rms_norm.default and argument(node, 3, "eps", None) is None:
            source, over = node.args[:2]
            eps = torch.finfo(source.meta["val"].dtype).eps
            node.args = (source, over, argument(node, 2, "weight", None), eps)
            node.kwargs = {}


@rule(aten.rms_norm.default)
def lower_rms_norm(low: Lowering, node: torch.fx.Node) -> RMSNorm:
    source: Any = node.args[0]
    over: Any = node.args[1]
    axes, wide = low.axes(source), prod(over)
    if axes.length > 1 and (axes.dim is None or axes.right % wide):
        raise NotLocal("it normalises over the length")
    if axes.length == 1 and axes.shape[-len(over) :] != tuple(over):
        raise NotLocal("it normalises over an axis the engine does not follow")
    weight: Any = argument(node, 2, "weight", None)
    eps: Any = argument(node, 3, "eps", None)
    name = None if weight is None else weight.name
    return RMSNorm((low.ripple(source),), axes, (source.name,), wide, name, eps)
