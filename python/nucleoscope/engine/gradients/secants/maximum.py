"""Maxima: a rise counts for what is the maximum of the sequence, a fall for what was that of the baseline.

That input rises, or falls, by as much as the maximum at least: its multiplier lies between 0 and the output's.
Every cell is settled by itself, so overlapping and stacked pools stay exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nucleoscope.engine.gradients.secants.pointwise import plain_slope
from nucleoscope.engine.gradients.secants.registry import Call, Values, aten, secant


def of_maxima(
    m: Tensor,  # [..., P] multipliers of maxima
    x: Tensor,  # [..., K] what they are the maxima of, at the sequence
    b: Tensor,  # [..., K] and at the baseline
    at_x: Tensor,  # [..., P] which of the K is the maximum
    at_b: Tensor,
) -> Tensor:  # [..., K]
    """The multipliers of the inputs."""
    d = x - b
    rise = x.gather(-1, at_x) - b.gather(-1, at_b)
    by_x, by_b = d.gather(-1, at_x), d.gather(-1, at_b)
    still = by_x == 0  # its slope is 1; whatever the maximum does is the other's doing
    up = torch.where(rise > 0, rise, 0.0) / torch.where(still, 1.0, by_x) + still.to(d)
    down = torch.where(rise < 0, rise / torch.where(by_b == 0, 1.0, by_b), 0.0)
    return torch.zeros_like(d).scatter_add(-1, at_x, m * up).scatter_add(-1, at_b, m * down)


POOLS: dict[Any, tuple[Any, int]] = {
    aten.max_pool1d.default: (F.max_pool1d, 1),
    aten.max_pool2d.default: (F.max_pool2d, 2),
    aten.max_pool3d.default: (F.max_pool3d, 3),
}


@secant(*POOLS)
def max_pool(call: Call, m: Tensor, x: Values, b: Values) -> Sequence[Tensor | None]:
    pool, spatial = POOLS[call.node.target]
    names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
    defaults: tuple[Any, ...] = (None, [], 0, 1, False)
    settings = [
        call.argument(i, n, d) for i, (n, d) in enumerate(zip(names, defaults, strict=True), 1)
    ]
    at = [pool(v, *settings, return_indices=True)[1].flatten(-spatial) for v in (x[0], b[0])]
    flat = [v.flatten(-spatial) for v in (x[0], b[0])]
    return [of_maxima(m.flatten(-spatial), *flat, *at).view(b[0].shape)]


@secant(aten.adaptive_max_pool1d.default)
def adaptive_max_pool(call: Call, m: Tensor, x: Values, b: Values) -> Sequence[Tensor | None]:
    size = call.argument(1, "output_size")
    at = [F.adaptive_max_pool1d(v, size, return_indices=True)[1] for v in (x[0], b[0])]
    return [of_maxima(m[0], x[0], b[0], *at)]  # its second output is where they are


@secant(aten.amax.default)
def largest(call: Call, m: Tensor, x: Values, b: Values) -> Sequence[Tensor | None]:
    ndim = b[0].ndim
    given = call.argument(1, "dim", ())
    dims = [d % ndim for d in ([given] if isinstance(given, int) else given or range(ndim))]
    rest = [d for d in range(ndim) if d not in dims]
    last = [v.permute(*rest, *dims).flatten(len(rest)) for v in (x[0], b[0])]
    m = (
        m
        if m.ndim == ndim
        else m.reshape([1 if d in dims else n for d, n in enumerate(b[0].shape)])
    )
    m = m.permute(*rest, *dims).flatten(len(rest))
    made = of_maxima(m, *last, *(v.argmax(-1, keepdim=True) for v in last))
    shape = [b[0].shape[d] for d in (*rest, *dims)]
    order = [(*rest, *dims).index(d) for d in range(ndim)]
    return [made.view(shape).permute(order)]


@secant(aten.maximum.default, aten.max.other, aten.minimum.default, aten.min.other)
def larger(call: Call, m: Tensor, x: Values, b: Values) -> Sequence[Tensor | None]:
    if len(b) == 1:
        return [plain_slope(call.run, m, x[0], b[0])]
    sign = -1.0 if call.node.target in (aten.minimum.default, aten.min.other) else 1.0
    both = [torch.stack(torch.broadcast_tensors(*v), -1) * sign for v in (x, b)]
    at = [v.argmax(-1, keepdim=True) for v in both]
    made = of_maxima(m.unsqueeze(-1), *both, *at)
    return [made[..., i].sum_to_size(each.shape) for i, each in enumerate(b)]
