"""Max-pooling of a delta: see ``nucleoscope.ops.delta_max_pool`` for the contract."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._blocks import BLOCK, PLAIN, block_of, grid_of, lines_at, original_at, taken, warps_of
from ._functions import larger
from ._rows import coded, find_row, position_of

_PLAIN = (
    *PLAIN, "pooled_first", "pooled_kept", "pooled_many", "taps", "stride", "dilation", "pad", "length_in"
)  # fmt: skip


@triton.jit(do_not_specialize=_PLAIN)
def _delta_max_pool_kernel(
    given_ptr,  # [V, S, E, C]
    in_starts_ptr,
    in_widths,
    starts_ptr,
    widths,
    values_ptr,
    sequence_ptr,
    pooled_ptr,
    pooled_sequence_ptr,
    out_ptr,  # [W, S, E, C]
    lines,
    sites,
    edits,
    channels,
    first,
    kept,
    many,
    pooled_first,
    pooled_kept,
    pooled_many,
    taps,
    stride,
    dilation,
    pad,
    length_in,
    length,
    IN: tl.constexpr,
    OUT: tl.constexpr,
    RELU: tl.constexpr,
    BLOCK_LINES: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
):
    """out = max(d - (m - z)) over the members of each cell, with RELU also -m; zero beyond the output's ends."""
    o_m, m_m, i_w, o_p, o_s, o_c, m_c = block_of(
        lines, sites, edits, channels, BLOCK_LINES, BLOCK_CHANNELS
    )
    where = position_of(i_w, starts_ptr, widths, o_s, m_m, sites, OUT)
    m_in = m_m & (where >= 0) & (where < length)
    m = original_at(
        pooled_ptr, pooled_sequence_ptr, where, o_s, m_in, o_c, m_c,
        pooled_first, pooled_kept, pooled_many, channels,
    )  # fmt: skip
    best = tl.full((BLOCK_LINES, BLOCK_CHANNELS), float("-inf"), m.dtype)
    if RELU:
        best = larger(best, -m)
    for tap in range(taps):
        read = where * stride - pad + tap * dilation
        m_read = m_in & (read >= 0) & (read < length_in)
        z = original_at(
            values_ptr, sequence_ptr, read, o_s, m_read, o_c, m_c, first, kept, many, channels
        )
        row = find_row(read, in_starts_ptr, in_widths, o_s, m_read, sites, IN)
        d = taken(given_ptr, row, o_p, o_c, m_c, sites, edits, channels)
        gap = tl.where(z == m, 0.0, m - z)  # infinities less themselves are no number
        best = tl.where(m_read[:, None], larger(best, d - gap), best)
    made = tl.where(m_in[:, None], best, 0.0)
    tl.store(out_ptr + lines_at(o_m, o_c, channels), made, mask=m_m[:, None] & m_c[None, :])


def delta_max_pool(
    given: Tensor,
    rows_in: Any,
    rows_out: Any,
    original: Any,
    pooled: Any,
    out: Tensor,  # [W, S, E, C] contiguous, written in full
    *,
    taps: int,
    stride: int,
    dilation: int,
    pad: int,
    length_in: int,
    length: int,
    relu: bool = False,
) -> None:
    """Launch the pool on contiguous arguments; those of the op, with the output behind them."""
    (in_starts, in_widths), (starts, widths) = rows_in, rows_out
    z, z_sequence, z_first = original
    m, m_sequence, m_first = pooled
    window, sites, edits, channels = out.shape
    if out.numel() == 0:
        return
    with torch.cuda.device_of(out):
        _delta_max_pool_kernel[grid_of(out)](
            given, in_starts, coded(in_widths), starts, coded(widths), z, z_sequence, m, m_sequence, out,
            window * sites * edits, sites, edits, channels,
            z_first, z.shape[1], len(z), m_first, m.shape[1], len(m),
            taps, stride, dilation, pad, length_in, length,
            IN=len(in_widths), OUT=len(widths), RELU=bool(relu), num_warps=warps_of(out), **BLOCK,
        )  # fmt: skip
