"""``delta_conv`` for groups of few channels, most often one: there is no matrix worth the name."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._products import PLAIN, finish, live_taps, operand, read_piece, vector_of
from ._rows import position_of

# 8 elements a thread: what such a layer waits for is memory, and many small programs hide that.
BLOCK_PAIRS = 16
BLOCK_CHANNELS = 64


@triton.jit(do_not_specialize=PLAIN)
def _delta_conv_few_kernel(
    given_ptr,  # [V, S, E, C_in]
    in_starts_ptr,
    in_widths,
    weight_ptr,
    out_ptr,  # [W, S, E, C_out]
    out_starts_ptr,
    out_widths,
    values_ptr,
    sequence_ptr,
    first,
    kept,
    residual_ptr,
    starts_ptr,
    widths,
    sites,
    edits,
    pairs,
    window,
    taps,
    stride,
    dilation,
    pad,
    length,
    group_units,
    blocks,
    wide,
    made,
    group_step,  # of the weights, from one group, tap and column to the next
    tap_step,
    column_step,
    IN: tl.constexpr,
    OUT: tl.constexpr,
    BESIDE: tl.constexpr,
    FIRST: tl.constexpr,
    UNIT: tl.constexpr,
    PRECISION: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
):
    """Groups of few channels, most often one: each output channel sums its own group's, without a matrix."""
    groups = group_units * UNIT  # so that the compiler sees what the channels are a multiple of
    program = tl.program_id(0)
    i_n = program % blocks
    i_w = (program // blocks % window).to(tl.int64)
    i_m = (program // blocks // window).to(tl.int64)
    o_m = i_m * BM + tl.arange(0, BM)
    m_m = o_m < pairs
    o_s = o_m // edits
    where = position_of(i_w, out_starts_ptr, out_widths, o_s, m_m, sites, OUT)
    inside = m_m & (where >= 0) & (where < length)

    o_c = i_n * BN + tl.arange(0, BN)
    m_c = o_c < groups * made
    o_g = o_c // made
    p_column = weight_ptr + (o_g.to(tl.int64) * group_step + (o_c - o_g * made) * column_step)
    step = pairs.to(tl.int64) * dilation * (groups * wide)
    total = tl.zeros((BM, BN), dtype=tl.float64 if PRECISION == "fp64" else tl.float32)
    base = where * 0
    begin = i_n * 0
    for piece in tl.static_range(IN):
        relative, width = read_piece(
            where, in_starts_ptr, in_widths, piece, o_s, m_m, sites, stride, pad
        )
        t0, t1, begin, end = live_taps(relative, width, inside, taps, dilation)
        p_row = given_ptr + ((base + relative) * pairs + o_m) * (groups * wide)
        for tap in range(begin, end):
            m_given = ((tap >= t0) & (tap < t1))[:, None] & m_c[None, :]
            for i in range(wide):
                b_given = tl.load(
                    p_row[:, None] + (tap * step + o_g * wide + i)[None, :], mask=m_given, other=0.0
                )
                b_weight = tl.load(p_column + (tap * tap_step + i), mask=m_c, other=0.0)
                total += (
                    operand(b_given, PRECISION).to(total.dtype) * b_weight.to(total.dtype)[None, :]
                )
        base += width

    # Worked out again, as in the kernel for matrices; begin is not negative.
    o_m = (i_m + tl.minimum(begin, 0)) * BM + tl.arange(0, BM)
    m_m = o_m < pairs
    o_s = o_m // edits
    where = position_of(i_w, out_starts_ptr, out_widths, o_s, m_m, sites, OUT)
    inside = m_m & (where >= 0) & (where < length)
    rows = (o_m, o_s, m_m, inside, where, sites, pairs)
    head = (values_ptr, sequence_ptr, first, kept)
    beside = (residual_ptr, starts_ptr, widths)
    finish(
        total,
        i_n.to(tl.int64) * BN,
        groups * made - i_n * BN,
        out_ptr,
        i_w,
        rows,
        head,
        beside,
        groups * made,
        BESIDE,
        FIRST,
    )


def launch_few(common: dict[str, Any], weight: Tensor, channels: int, precision: str) -> None:
    given = common["given_ptr"]
    channels_in = given.shape[3]
    if weight.ndim == 2:
        precision = "fp32"
        groups, taps, made, wide = channels_in, len(weight), channels // channels_in, 1
        steps = (made, channels, 1)
    else:
        if weight.dtype == torch.int32:
            weight, precision = weight.view(torch.bfloat16), "bf16"
        groups, taps, made, padded = weight.shape
        wide = channels_in // groups
        steps = (taps * made * padded, made * padded, padded)
    if given.dtype == torch.float64:
        precision = "fp64"
    unit = vector_of(groups)
    blocks = triton.cdiv(channels, BLOCK_CHANNELS)
    programs = triton.cdiv(common["pairs"], BLOCK_PAIRS) * common["window"] * blocks
    _delta_conv_few_kernel[(programs,)](
        **common, weight_ptr=weight, taps=taps, group_units=groups // unit, UNIT=unit, blocks=blocks,
        wide=wide, made=made, group_step=steps[0], tap_step=steps[1], column_step=steps[2], PRECISION=precision,
        BM=BLOCK_PAIRS, BN=BLOCK_CHANNELS, num_warps=4,
    )  # fmt: skip
