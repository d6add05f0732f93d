"""Weights for Winograd's convolution: fewer products than taps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nucleoscope.naive.ops.delta_conv import pack_weight

OUTPUTS = 4  # neighbouring positions that are made together
POINTS = (0.0, 1.0, -1.0, 0.5, -2.0, 2.0)  # the first of them, and infinity
FEW = 16  # channels on a side: with fewer, going to the points and back costs what it saves
MOST = 2.4  # values a tap: more memory would go into the weights than the products saved are worth (5 taps)


def pack_winograd(weight: Tensor, groups: int = 1, *, backward: bool = False) -> Tensor | None:
    """Weights [K, C_in, C_out] at points, as ``conv`` takes them beside the packed ones; None: they do not pay.

    [P, B, parts, C_in, 16]: one part of 3 taps at 6 points, or parts of 4 taps at 7, whose values are packed
    as ``pack_weight`` packs them. They do not pay with fewer than 3 taps or 16 channels, with 5 taps, in groups,
    or on a GPU.

    Args:
        weight: of the layer.
        groups: G of it.
        backward: for ``conv_backward``.
    """
    taps, wide, channels = weight.shape
    each = min(taps, 4)
    parts = -(-taps // each)
    values = parts * (each + OUTPUTS - 1)
    if taps < 3 or values > MOST * taps or min(wide, channels) < FEW:
        return None
    if groups > 1 or weight.device.type != "cpu":
        return None
    if backward:
        weight = weight.flip(0).mT
    along = F.pad(weight, (0, 0, 0, 0, 0, parts * each - taps)).unflatten(0, (parts, each))
    made = torch.einsum("pk,tkio->ptio", at_points(each), along.double()).to(weight.dtype)
    return torch.cat([pack_weight(point) for point in made])


def at_points(taps: int) -> Tensor:
    """[P, taps]: what taps are multiplied with to be values at P points; float64.

    At a point x it is 1, x, x^2, ... by the product of its distances from the other points; at infinity the
    last tap.
    """
    count = OUTPUTS + taps - 2
    points = torch.tensor(POINTS[:count], dtype=torch.float64)
    apart = (points[:, None] - points + torch.eye(count, dtype=torch.float64)).prod(1)
    finite = points[:, None] ** torch.arange(taps) / apart[:, None]
    return torch.cat([finite, torch.eye(taps, dtype=torch.float64)[-1:]])
