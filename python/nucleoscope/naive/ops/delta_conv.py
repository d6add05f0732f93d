"""The meaning of ``delta_conv``."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nucleoscope.naive.ops._rows import Original, Rows, at, find, positions, take
from nucleoscope.naive.ops.delta_pointwise import relu, zero_outside

BLOCK = 16  # columns of a block of packed weights: 64 bytes of float32; and channels that a GPU reads together


def pack_weight(weight: Tensor, groups: int = 1, device: torch.device | None = None) -> Tensor:
    """Weights [K, C_in / G, C_out] as ``delta_conv`` takes them on a device; None: on their own.

    On a processor [G, B, K, C_in / G, 16]: each group's C_out / G columns, filled up with zeros to B
    blocks of 16. On a GPU [G, K, C_out / G, I]: the channels in lie together, filled up to a multiple of
    16, as tensor cores want them. Groups of one channel are [K, C_out] on both.
    """
    taps, wide, channels = weight.shape
    if wide == 1:
        return weight[:, 0].contiguous()
    made = channels // groups
    if (weight.device if device is None else device).type == "cuda":
        padded = -(-wide // BLOCK) * BLOCK
        rows = weight.new_zeros(groups, taps, made, padded)
        rows[..., :wide] = weight.view(taps, wide, groups, made).permute(2, 0, 3, 1)
        return rows
    blocks = -(-made // BLOCK)
    full = weight.new_zeros(taps, wide, groups, blocks * BLOCK)
    full[..., :made] = weight.view(taps, wide, groups, made)
    return full.view(taps, wide, groups, blocks, BLOCK).permute(2, 3, 0, 1, 4).contiguous()


def to_bf16(packed: Tensor) -> Tensor:
    """Packed weights as pairs of bfloat16 in int32, half as many of them along the channels in.

    The first channel of a pair is the low half. A delta is rounded to bfloat16 before it meets them;
    products are summed in float32. Weights of groups of one channel stay as they are: there are no
    pairs, and what such a layer waits for is memory.
    """
    if packed.ndim == 2:
        return packed
    if packed.ndim == 4:
        return packed.bfloat16().view(torch.int32)
    even = F.pad(packed, (0, 0, 0, packed.shape[3] % 2)).bfloat16()
    bits = even.view(torch.int16).int() & 0xFFFF
    return bits[:, :, :, 0::2] | bits[:, :, :, 1::2] << 16


def from_bf16(pairs: Tensor, wide: int) -> Tensor:
    """The packed weights, rounded, of which pairs were made."""
    if pairs.ndim == 4:
        return pairs.view(torch.bfloat16)
    halves = pairs.unsqueeze(-1).view(torch.bfloat16)
    return halves.transpose(4, 5).flatten(3, 4)[:, :, :, :wide]


def to_tf32(packed: Tensor) -> Tensor:
    """Packed weights rounded to TF32: tensor cores would drop the last bits, which is a bias.

    Weights of groups of one channel stay as they are.
    """
    return packed if packed.ndim == 2 else round_tf32(packed)


def round_tf32(values: Tensor) -> Tensor:
    """Values with 10 bits behind the point, half away from zero; their type stays."""
    bits = values.float().view(torch.int32)
    rounded = ((bits + 0x1000) & -0x2000).view(torch.float32)
    return torch.where(values.isnan(), values, rounded.to(values))


def unpack_weight(packed: Tensor, channels: int, wide: int | None = None) -> Tensor:
    """The weights [K, C_in / G, C_out] that were packed; ``wide``: C_in / G, where they were filled up."""
    if packed.ndim == 2:
        return packed[:, None]
    if packed.ndim == 4:
        _, taps, _, padded = packed.shape
        rows = packed[..., : padded if wide is None else wide].permute(1, 3, 0, 2)
        return rows.reshape(taps, rows.shape[1], channels)
    groups, blocks, taps, wide, _ = packed.shape
    full = packed.permute(2, 3, 0, 1, 4).reshape(taps, wide, groups, blocks * BLOCK)
    return full[..., : channels // groups].reshape(taps, wide, channels)


def delta_conv(
    given: Tensor,  # [V, S, E, C_in]
    rows_in: Rows,
    weight: Tensor,  # from pack_weight, or to_bf16 of that
    rows_out: Rows,
    *,
    channels: int,
    stride: int = 1,
    dilation: int = 1,
    pad: int = 0,
    length: int,
    original: Original | None = None,
    residual: Tensor | None = None,  # [R, S, E, C_out]
    beside: Rows | None = None,
    residual_first: bool = False,
    tf32: bool = False,
) -> Tensor:  # [W, S, E, C_out]
    """Change of a convolution, of the ReLU behind it, and of the residual that joins it."""
    out = positions(rows_out)
    wide = 1 if weight.ndim == 2 else given.shape[3] // weight.shape[0]
    if weight.dtype == torch.int32:
        weight, given = from_bf16(weight, wide).to(given), given.bfloat16().to(given)
    elif tf32 and weight.ndim > 2:
        weight, given = round_tf32(weight), round_tf32(given)
    plain = unpack_weight(weight, channels, wide)
    groups = given.shape[3] // plain.shape[1]
    shape = (*out.shape, given.shape[2], groups, given.shape[3] // groups)
    total = given.new_zeros(*out.shape, given.shape[2], channels)
    for tap, matrix in enumerate(plain):
        row = find(rows_in, out * stride - pad + tap * dilation)
        parts = matrix.view(len(matrix), groups, channels // groups)
        total += torch.einsum("wsegi,igo->wsego", take(given, row).view(shape), parts).flatten(3)
    joined = 0.0 if residual is None else take(residual, find(_some(beside), out))
    if residual_first:
        total = total + joined
    if original is not None:
        total = relu(at(original, out), total)
    if not residual_first:
        total = total + joined
    return zero_outside(total, out, length)


def _some(rows: Rows | None) -> Rows:
    if rows is None:
        raise TypeError("beside: say which rows the residual is on")
    return rows
