"""``delta_conv`` on matrix units: groups of many channels."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._products import PLAIN, finish_in_parts, live_taps, operand, read_piece, vector_of
from ._rows import position_of
from ._tiles import architecture, tile_of


@triton.jit(do_not_specialize=PLAIN)
def _delta_conv_kernel(
    given_ptr,  # [V, S, E, G * wide]
    in_starts_ptr,
    in_widths,
    weight_ptr,  # [G, K, made, padded]
    out_ptr,  # [W, S, E, G * made]
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
    wide_units,
    padded_units,
    made_units,
    groups,
    blocks,
    IN: tl.constexpr,
    OUT: tl.constexpr,
    BESIDE: tl.constexpr,
    FIRST: tl.constexpr,
    UNIT_IN: tl.constexpr,
    UNIT_OUT: tl.constexpr,
    PRECISION: tl.constexpr,
    DOT: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
    PARTS: tl.constexpr,
):
    """Rows of deltas by matrices of weights, tap after tap.

    Channels come in units, so that the compiler sees what they are a multiple of: it reads whole vectors then.
    """
    wide, padded, made = wide_units * UNIT_IN, padded_units * 16, made_units * UNIT_OUT
    program = tl.program_id(0)
    i_n = program % blocks
    i_g = program // blocks % groups
    i_w = (program // (blocks * groups) % window).to(tl.int64)
    i_m = (program // (blocks * groups) // window).to(tl.int64)
    o_m = i_m * BM + tl.arange(0, BM)
    m_m = o_m < pairs
    o_s = o_m // edits
    where = position_of(i_w, out_starts_ptr, out_widths, o_s, m_m, sites, OUT)
    inside = m_m & (where >= 0) & (where < length)

    o_k = tl.arange(0, BK)
    o_n = i_n * BN + tl.arange(0, BN)
    m_n = o_n < made
    step = pairs.to(tl.int64) * dilation * (groups * wide)  # from one tap's row to the next's
    p_group = given_ptr + i_g.to(tl.int64) * wide
    matrix = made.to(tl.int64) * padded
    p_matrix = weight_ptr + i_g * taps * matrix
    total = tl.zeros((BM, BN), dtype=tl.float64 if PRECISION == "fp64" else tl.float32)
    base = where * 0  # rows of the pieces before
    k = i_n * 0
    for piece in tl.static_range(IN):
        relative, width = read_piece(
            where, in_starts_ptr, in_widths, piece, o_s, m_m, sites, stride, pad
        )
        t0, t1, tap, end = live_taps(relative, width, inside, taps, dilation)
        p_row = p_group + ((base + relative) * pairs + o_m) * (groups * wide)
        for _ in range(tl.maximum(end - tap, 0) * tl.cdiv(wide, BK)):
            m_row = (tap >= t0) & (tap < t1)
            p_given = p_row[:, None] + (tap * step + k + o_k)[None, :]
            b_given = tl.load(p_given, mask=m_row[:, None] & (k + o_k < wide)[None, :], other=0.0)
            p_weight = p_matrix + (tap * matrix + k + o_k)[:, None] + (o_n * padded)[None, :]
            b_weight = tl.load(p_weight, mask=(k + o_k < padded)[:, None] & m_n[None, :], other=0.0)
            b_given = operand(b_given, PRECISION)
            total = tl.dot(b_given, b_weight, total, input_precision=DOT, out_dtype=total.dtype)
            k += BK
            tap = tl.where(k < wide, tap, tap + 1)
            k = tl.where(k < wide, k, 0)
        base += width

    # Worked out again, for k ends at 0: held while the products run, this would take 50 registers.
    o_m = (i_m + tl.minimum(k, 0)) * BM + tl.arange(0, BM)
    m_m = o_m < pairs
    o_s = o_m // edits
    where = position_of(i_w, out_starts_ptr, out_widths, o_s, m_m, sites, OUT)
    inside = m_m & (where >= 0) & (where < length)
    rows = (o_m, o_s, m_m, inside, where, sites, pairs)
    head = (values_ptr, sequence_ptr, first, kept)
    beside = (residual_ptr, starts_ptr, widths)
    c, many = (i_g * made).to(tl.int64) + i_n * BN, made - i_n * BN
    finish_in_parts(
        total, c, many, out_ptr, i_w, rows, head, beside, groups * made, BESIDE, FIRST, PARTS
    )


def launch_matrix(common: dict[str, Any], weight: Tensor, precision: str) -> None:
    given = common["given_ptr"]
    if weight.dtype == torch.int32:
        weight, precision = weight.view(torch.bfloat16), "bf16"
    if given.dtype == torch.float64:
        precision = "fp64"
    groups, taps, made, padded = weight.shape
    wide = given.shape[3] // groups
    tile = tile_of(architecture(), precision, made)
    blocks = triton.cdiv(made, tile.channels)
    programs = triton.cdiv(common["pairs"], tile.pairs) * common["window"] * groups * blocks
    unit_in, unit_out = vector_of(wide), vector_of(made)
    _delta_conv_kernel[(programs,)](
        **common, weight_ptr=weight, taps=taps, wide_units=wide // unit_in, padded_units=padded // 16,
        made_units=made // unit_out, groups=groups, blocks=blocks, UNIT_IN=unit_in, UNIT_OUT=unit_out,
        PRECISION=precision, DOT=tile.dot, BM=tile.pairs, BN=tile.channels, BK=tile.depth,
        PARTS=tile.parts, num_warps=tile.warps, num_stages=tile.stages,
    )  # fmt: skip
