"""The meaning of ``delta_relu``."""

import torch
from torch import Tensor

from nucleoscope.naive.ops._rows import Original, Rows, at, positions


def delta_relu(
    given: Tensor,  # [W, S, E, C]
    rows: Rows,
    original: Original,
    length: int,
) -> Tensor:  # [W, S, E, C]
    """Change of ReLU where its input z changes by the given delta."""
    where = positions(rows)
    return zero_outside(relu(given, at(original, where)), where, length)


def relu(d: Tensor, z: Tensor) -> Tensor:
    """relu(z + d) - relu(z) in the form that does not cancel."""
    return torch.maximum(d + z.clamp(max=0.0), -z.clamp(min=0.0))


def zero_outside(delta: Tensor, where: Tensor, length: int) -> Tensor:
    """Positions beyond the layer's ends do not exist: their delta is zero."""
    return torch.where(((where >= 0) & (where < length))[:, :, None, None], delta, 0.0)
