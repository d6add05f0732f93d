"""The meaning of ``conv`` and of ``conv_backward``."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nucleoscope.naive.ops.delta_conv import BLOCK, pack_weight, unpack_weight


def pack_backward(weight: Tensor, groups: int = 1, dilation: int = 1) -> Tensor:
    """Weights [K, C_in / G, C_out] as ``conv_backward`` takes them.

    They are those of the way back, [K, C_out / G, C_in], packed. Where few channels go in (letters), one
    tap with K * C_in columns: each row of the gradient is multiplied for all taps at once.
    """
    taps, wide, channels = weight.shape
    if spreads(taps, wide, channels, groups, dilation):
        return pack_weight(weight.permute(2, 0, 1).reshape(1, channels, taps * wide))
    back = weight.view(taps, wide, groups, channels // groups).permute(0, 3, 2, 1)
    return pack_weight(back.reshape(taps, channels // groups, groups * wide), groups)


def spreads(taps: int, wide: int, channels: int, groups: int, dilation: int) -> bool:
    """Whether ``pack_backward`` lays all taps of a few channels side by side."""
    return min(taps, channels) > 1 and groups == dilation == 1 and wide < BLOCK


def conv(
    given: Tensor,  # [N, V, C_in]
    weight: Tensor,  # from pack_weight
    *,
    channels: int,
    stride: int = 1,
    dilation: int = 1,
    pad: int = 0,
    length: int,
    winograd: Tensor | None = None,  # noqa: ARG001 - the same weights
    bias: Tensor | None = None,  # [C_out]
    residual: Tensor | None = None,  # [N, L, C_out]
    residual_first: bool = False,
    relu: bool = False,
    beside: Tensor | None = None,  # [1 or N, L, C_out]
) -> tuple[Tensor, Tensor]:  # [N, L, C_out] twice
    """A convolution with the ReLU behind it and the residual that joins it, and where the ReLU is open.

    With `beside`, in the place of the last, the slope of the ReLU's chord from `beside` to what enters it here.
    """
    wide = 1 if weight.ndim == 2 else given.shape[2] // weight.shape[0]
    taps = unpack_weight(weight, channels, wide).permute(2, 1, 0)
    reach = (length - 1) * stride + (taps.shape[2] - 1) * dilation + 1
    padded = F.pad(given.mT, (pad, reach - pad - given.shape[1]))
    groups = given.shape[2] // wide
    made = F.conv1d(padded, taps, bias, stride, 0, dilation, groups).mT
    joined = 0.0 if residual is None else residual
    if residual_first:
        made = made + joined
    is_open = ~(made <= 0.0)
    slope = is_open.to(torch.uint8) if beside is None else _chord(made, beside)
    if relu:
        made = torch.where(is_open, made, 0.0)
    if not residual_first:
        made = made + joined
    return made, slope if relu else given.new_empty(0, dtype=torch.uint8)


def _chord(a: Tensor, b: Tensor) -> Tensor:
    """(relu(a) - relu(b)) / (a - b), the derivative where the two are the same; 0 where one is no number."""
    same = a == b
    slope = (F.relu(a) - F.relu(b)) / torch.where(same, 1.0, a - b)
    return torch.where(same, (a > 0).to(a), slope).nan_to_num(0.0)


def conv_backward(
    given: Tensor,  # [N, L, C_out]
    weight: Tensor,  # from pack_backward
    *,
    channels: int,
    taps: int,
    stride: int = 1,
    dilation: int = 1,
    pad: int = 0,
    length: int,
    winograd: Tensor | None = None,  # noqa: ARG001 - the same weights
    slope: Tensor | None = None,  # [N, L, C_out]
    residual: Tensor | None = None,  # [N, V, C_in]
) -> Tensor:  # [N, V, C_in]
    """The gradient by a convolution's input, of the gradient by what is behind it."""
    if slope is not None:
        given = torch.where(slope != 0, given, 0.0) if slope.dtype == torch.uint8 else given * slope
    many = given.shape[2]
    groups = many if weight.ndim == 2 else weight.shape[0]
    if spreads(taps, channels // groups, many, groups, dilation):
        back = unpack_weight(weight, taps * channels, many).view(many, taps, channels).mT
    else:
        back = unpack_weight(weight, channels, many // groups)
        back = back.view(taps, many // groups, groups, channels // groups).permute(2, 1, 3, 0)
        back = back.reshape(many, channels // groups, taps)
    reach = (given.shape[1] - 1) * stride + (taps - 1) * dilation + 1
    whole = F.conv_transpose1d(given.mT, back, None, stride, 0, 0, groups, dilation)
    made = F.pad(whole, (-pad, length + pad - reach)).mT
    return made if residual is None else made + residual
