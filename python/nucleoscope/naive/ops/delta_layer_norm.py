"""The meaning of ``delta_layer_norm``."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nucleoscope.naive.ops._rows import Original, Rows, at, positions
from nucleoscope.naive.ops.delta_pointwise import zero_outside


def delta_layer_norm(
    given: Tensor,  # [W, S, E, C]
    rows: Rows,
    original: Original,
    length: int,
    *,
    wide: int,
    weight: Tensor | None = None,  # [wide]
    eps: float = 1e-5,
    limit: float = math.inf,
) -> Tensor:  # [W, S, E, C]
    """Change of LayerNorm over groups of ``wide`` channels where its input z changes; NaN where it is lost."""
    where = positions(rows)
    z, d = (t.unflatten(-1, (-1, wide)) for t in (at(original, where), given))
    size_z, size_d = (t.abs().amax(-1, keepdim=True) for t in (z, d))
    z, d = z - z.mean(-1, keepdim=True), d - d.mean(-1, keepdim=True)
    edited = z + d
    was, now = (torch.rsqrt(t.square().mean(-1, keepdim=True) + eps) for t in (z, edited))
    wider = (d * (2 * z + d)).mean(-1, keepdim=True)
    slope = -wider * was * now * (was * now / (was + now))  # now - was
    made = torch.where(now > was, d * was + edited * slope, d * now + z * slope)
    made = made if weight is None else made * weight
    lost = (size_d * now > limit) | (size_z * torch.maximum(was, now) > limit)
    made = torch.where(lost & (size_d > 0), torch.nan, made)
    return zero_outside(made.flatten(-2), where, length)
