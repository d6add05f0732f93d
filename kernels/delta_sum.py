"""Sums of deltas: see ``nucleoscope.ops.delta_sum`` for the contract.

A cell of few taps is a loop of each line over the rows it reads. One of many is a program of its own, which
takes 64 rows at a time and adds them up in a tree: a mean over the length has a line an edit only, and a
loop over a thousand rows would leave the machine idle.
"""

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._blocks import BLOCK, PLAIN, block_of, grid_of, lines_at, warps_of
from ._rows import coded, decoded, position_of

MANY = 32  # taps of a cell that is a program's own
BLOCK_ROWS = 64
_PLAIN = (*PLAIN, "taps", "stride", "pad")


@triton.jit
def _live(where, starts_ptr, width, piece: tl.constexpr, o_s, m_in, sites, taps, stride, pad):
    """The rows [r0, r1) of a piece that each cell reads."""
    b_start = tl.load(starts_ptr + piece * sites + o_s, mask=m_in, other=0)
    begin = where * stride - pad - b_start
    r0, r1 = tl.maximum(begin, 0), tl.minimum(begin + taps, width)
    return r0, tl.where(m_in, r1, r0)


@triton.jit
def _few(
    given_ptr, starts_ptr, widths, where, o_p, o_s, m_in, o_c, m_c, sites, edits, channels, taps, stride, pad,
    like, PIECES: tl.constexpr,
):  # fmt: skip
    """The sum of one term over each line's cell."""
    total = tl.zeros_like(like)
    base = sites.to(tl.int64) * 0
    for piece in tl.static_range(PIECES):
        width = decoded(widths[piece])
        r0, r1 = _live(where, starts_ptr, width, piece, o_s, m_in, sites, taps, stride, pad)
        for i in range(tl.max(r1 - r0, 0).to(tl.int32)):
            m_row = r0 + i < r1
            p_given = given_ptr + lines_at((base + r0 + i) * (sites * edits) + o_p, o_c, channels)
            total += tl.load(p_given, mask=m_row[:, None] & m_c[None, :], other=0.0)
        base += width
    return total


@triton.jit
def _many(
    given_ptr, starts_ptr, widths, where, i_p, i_s, inside, o_c, m_c, sites, edits, channels, taps, stride, pad,
    like, PIECES: tl.constexpr, BLOCK_ROWS: tl.constexpr,
):  # fmt: skip
    """The sum of one term over one line's cell, 64 rows at a time."""
    total = tl.zeros_like(like)
    base = sites.to(tl.int64) * 0
    for piece in tl.static_range(PIECES):
        width = decoded(widths[piece])
        r0, r1 = _live(where, starts_ptr, width, piece, i_s, inside, sites, taps, stride, pad)
        for i in range(0, (r1 - r0).to(tl.int32), BLOCK_ROWS):
            o_r = r0 + i + tl.arange(0, BLOCK_ROWS)
            p_given = given_ptr + lines_at((base + o_r) * (sites * edits) + i_p, o_c, channels)
            total += tl.sum(tl.load(p_given, mask=(o_r < r1)[:, None] & m_c[None, :], other=0.0), 0)
        base += width
    return total


@triton.jit(do_not_specialize=_PLAIN)
def _delta_sum_kernel(
    given_ptr,  # [V, S, E, C]
    in_starts_ptr,
    in_widths,
    beside_ptr,  # [X, S, E, C], or None
    beside_starts_ptr,
    beside_widths,
    starts_ptr,
    widths,
    scale_ptr,  # [C], or None
    out_ptr,  # [W, S, E, C]
    lines,
    sites,
    edits,
    channels,
    taps,
    stride,
    pad,
    length,
    IN: tl.constexpr,
    BESIDE: tl.constexpr,
    OUT: tl.constexpr,
    FACTOR: tl.constexpr,  # as arguments they would be rounded to float32
    BESIDE_FACTOR: tl.constexpr,
    BLOCK_LINES: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
):
    """out = scale (FACTOR sum(given) + BESIDE_FACTOR sum(beside)); zero beyond the output's ends."""
    o_m, m_m, i_w, o_p, o_s, o_c, m_c = block_of(
        lines, sites, edits, channels, BLOCK_LINES, BLOCK_CHANNELS
    )
    where = position_of(i_w, starts_ptr, widths, o_s, m_m, sites, OUT)
    m_in = m_m & (where >= 0) & (where < length)
    like = tl.zeros((BLOCK_LINES, BLOCK_CHANNELS), out_ptr.dtype.element_ty)
    total = FACTOR * _few(
        given_ptr, in_starts_ptr, in_widths, where, o_p, o_s, m_in, o_c, m_c, sites, edits, channels,
        taps, stride, pad, like, IN,
    )  # fmt: skip
    if beside_ptr is not None:
        total += BESIDE_FACTOR * _few(
            beside_ptr, beside_starts_ptr, beside_widths, where, o_p, o_s, m_in, o_c, m_c, sites, edits,
            channels, taps, stride, pad, like, BESIDE,
        )  # fmt: skip
    if scale_ptr is not None:
        total *= tl.load(scale_ptr + o_c, mask=m_c, other=0.0)[None, :]
    made = tl.where(m_in[:, None], total, 0.0)
    tl.store(out_ptr + lines_at(o_m, o_c, channels), made, mask=m_m[:, None] & m_c[None, :])


@triton.jit(do_not_specialize=_PLAIN)
def _delta_sum_of_many_kernel(
    given_ptr,  # [V, S, E, C]
    in_starts_ptr,
    in_widths,
    beside_ptr,  # [X, S, E, C], or None
    beside_starts_ptr,
    beside_widths,
    starts_ptr,
    widths,
    scale_ptr,  # [C], or None
    out_ptr,  # [W, S, E, C]
    lines,
    sites,
    edits,
    channels,
    taps,
    stride,
    pad,
    length,
    IN: tl.constexpr,
    BESIDE: tl.constexpr,
    OUT: tl.constexpr,
    FACTOR: tl.constexpr,  # as arguments they would be rounded to float32
    BESIDE_FACTOR: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
):
    """The same for one line of many taps."""
    blocks = tl.cdiv(channels, BLOCK_CHANNELS)
    i_m, pairs = (tl.program_id(0) // blocks).to(tl.int64), sites * edits
    i_w = i_m // pairs
    i_p = i_m - i_w * pairs
    o_c = tl.program_id(0) % blocks * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    m_c = o_c < channels
    i_s = i_p // edits
    where = position_of(i_w, starts_ptr, widths, i_s, i_m < lines, sites, OUT)
    inside = (where >= 0) & (where < length)
    like = tl.zeros((BLOCK_CHANNELS,), out_ptr.dtype.element_ty)
    total = FACTOR * _many(
        given_ptr, in_starts_ptr, in_widths, where, i_p, i_s, inside, o_c, m_c, sites, edits, channels,
        taps, stride, pad, like, IN, BLOCK_ROWS,
    )  # fmt: skip
    if beside_ptr is not None:
        total += BESIDE_FACTOR * _many(
            beside_ptr, beside_starts_ptr, beside_widths, where, i_p, i_s, inside, o_c, m_c, sites, edits,
            channels, taps, stride, pad, like, BESIDE, BLOCK_ROWS,
        )  # fmt: skip
    if scale_ptr is not None:
        total *= tl.load(scale_ptr + o_c, mask=m_c, other=0.0)
    tl.store(out_ptr + i_m * channels + o_c, tl.where(inside, total, 0.0), mask=m_c)


def delta_sum(
    terms: Sequence[tuple[Tensor, Any, float]],
    rows_out: Any,
    out: Tensor,  # [W, S, E, C] contiguous, written in full
    *,
    taps: int,
    stride: int,
    pad: int,
    length: int,
    scale: Tensor | None,
) -> None:
    """Launch the sum on contiguous arguments; those of the op, with the output behind them."""
    none: Any = (None, (None, ()), 0.0)
    (given, (in_starts, in_widths), factor), (beside, (beside_starts, beside_widths), other) = [
        *terms,
        none,
    ][:2]
    starts, widths = rows_out
    window, sites, edits, channels = out.shape
    if out.numel() == 0:
        return
    lines, wide = window * sites * edits, BLOCK["BLOCK_CHANNELS"]
    if taps < MANY:
        elements = 4 if out.element_size() == 4 else 8  # eight of float32 take 80 registers
        block = {**BLOCK, "num_warps": warps_of(out, elements)}
        kernel, grid = _delta_sum_kernel, grid_of(out)
    else:
        kernel, grid = _delta_sum_of_many_kernel, (lines * triton.cdiv(channels, wide),)
        block = {"BLOCK_ROWS": BLOCK_ROWS, "BLOCK_CHANNELS": wide}
    with torch.cuda.device_of(out):
        kernel[grid](
            given, in_starts, coded(in_widths), beside, beside_starts, coded(beside_widths),
            starts, coded(widths), scale, out, lines, sites, edits, channels, taps, stride, pad, length,
            IN=len(in_widths), BESIDE=len(beside_widths), OUT=len(widths),
            FACTOR=factor, BESIDE_FACTOR=other, **block,
        )  # fmt: skip
