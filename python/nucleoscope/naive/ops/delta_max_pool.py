"""The meaning of ``delta_max_pool``."""

import torch
from torch import Tensor

from nucleoscope.naive.ops._rows import Original, Rows, at, find, positions, take
from nucleoscope.naive.ops.delta_pointwise import zero_outside


def delta_max_pool(
    given: Tensor,  # [V, S, E, C]
    rows_in: Rows,
    rows_out: Rows,
    original: Original,
    pooled: Original,
    *,
    taps: int,
    stride: int,
    dilation: int,
    pad: int,
    length_in: int,
    length: int,
    relu: bool = False,
) -> Tensor:  # [W, S, E, C]
    """Change of each cell's maximum m: the largest d - (m - z) of its members; with a ReLU 0 is one."""
    out = positions(rows_out)
    m = at(pooled, out)
    best = torch.full_like(take(given, torch.full_like(out, -1)), -torch.inf)
    best = torch.maximum(best, -m) if relu else best
    for tap in range(taps):
        where = out * stride - pad + tap * dilation
        z = at(original, where)
        gap = torch.where(z == m, 0.0, m - z)
        candidate = take(given, find(rows_in, where)) - gap
        inside = (where >= 0) & (where < length_in)
        best = torch.where(inside[:, :, None, None], torch.maximum(best, candidate), best)
    return zero_outside(best, out, length)
