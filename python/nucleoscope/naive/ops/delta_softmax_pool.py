"""The meaning of ``delta_softmax_pool``."""

from __future__ import annotations

import torch
from torch import Tensor

from nucleoscope.naive.ops._rows import Original, Rows, at, find, positions, take
from nucleoscope.naive.ops.delta_pointwise import zero_outside


def delta_softmax_pool(
    given: Tensor | None,  # [V, S, E, C]  change of x
    rows_in: Rows | None,
    logits: Tensor | None,  # [U, S, E, C]  change of the logits
    beside: Rows | None,
    rows_out: Rows,
    original: Original,
    original_logits: Original,
    *,
    taps: int,
    stride: int,
    length_in: int,
    length: int,
) -> Tensor:  # [W, S, E, C]
    """Change of each cell's mean of x, weighted by the softmax of its logits."""
    out = positions(rows_out)
    where = torch.stack([out * stride + tap for tap in range(taps)])
    inside = (where < length_in)[..., None, None]  # [K, W, S, 1, 1]
    x, z = (torch.stack([at(o, w) for w in where]) for o in (original, original_logits))
    dx, dz = _changes(given, rows_in, where), _changes(logits, beside, where)
    z = torch.where(inside, z, -torch.inf)
    dz = torch.zeros_like(z) if dz is None else torch.where(inside, dz, 0.0)
    log_p = torch.log_softmax(z, 0)
    p, now = log_p.exp(), torch.softmax(z + dz, 0)
    moved = dz - _normaliser(log_p, z, dz)
    change = torch.where(moved > 0, -now * torch.expm1(-moved), p * torch.expm1(moved))
    made = change * (x - (p * x).sum(0))
    made = made if dx is None else made + now * dx
    total = torch.where(inside & inside[:1], made, 0.0).sum(0)
    return zero_outside(total, out, length)


def _changes(values: Tensor | None, rows: Rows | None, where: Tensor) -> Tensor | None:
    if values is None or rows is None:
        return None
    return torch.stack([take(values, find(rows, each)) for each in where])


def _normaliser(log_p: Tensor, z: Tensor, dz: Tensor) -> Tensor:
    """How much the log of the sum of exponentials changes; a small change keeps its digits."""
    p = log_p.exp()
    small = p * torch.expm1(dz.clamp(max=1.0))
    rise = torch.where(dz > 1.0, torch.exp(log_p + dz) - p, small).sum(0)
    far = torch.logsumexp(z + dz, 0) - torch.logsumexp(z, 0)
    return torch.where(rise.abs() < 0.5, torch.log1p(rise), far)
