"""Product of two layers, both of which may change: see ``nucleoscope.ops.delta_product`` for the contract."""

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._blocks import BLOCK, PLAIN, block_of, grid_of, lines_at, original_at, taken, warps_of
from ._rows import coded, find_row, position_of

_PLAIN = (*PLAIN, "other_first", "other_kept", "other_many")


@triton.jit(do_not_specialize=_PLAIN)
def _delta_product_kernel(
    given_ptr,  # [V, S, E, C], or None
    in_starts_ptr,
    in_widths,
    values_ptr,
    sequence_ptr,
    beside_ptr,  # [X, S, E, C], or None
    beside_starts_ptr,
    beside_widths,
    other_ptr,
    other_sequence_ptr,
    starts_ptr,
    widths,
    out_ptr,  # [W, S, E, C]
    lines,
    sites,
    edits,
    channels,
    first,
    kept,
    many,
    other_first,
    other_kept,
    other_many,
    length,
    IN: tl.constexpr,
    BESIDE: tl.constexpr,
    OUT: tl.constexpr,
    BLOCK_LINES: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
):
    """out = a d_b + (b + d_b) d_a; zero beyond the layer's ends."""
    o_m, m_m, i_w, o_p, o_s, o_c, m_c = block_of(
        lines, sites, edits, channels, BLOCK_LINES, BLOCK_CHANNELS
    )
    where = position_of(i_w, starts_ptr, widths, o_s, m_m, sites, OUT)
    m_in = m_m & (where >= 0) & (where < length)
    a = original_at(
        values_ptr, sequence_ptr, where, o_s, m_in, o_c, m_c, first, kept, many, channels
    )
    b = original_at(
        other_ptr, other_sequence_ptr, where, o_s, m_in, o_c, m_c,
        other_first, other_kept, other_many, channels,
    )  # fmt: skip
    d_a, d_b = tl.zeros_like(a), tl.zeros_like(b)
    if given_ptr is not None:
        row = find_row(where, in_starts_ptr, in_widths, o_s, m_in, sites, IN)
        d_a = taken(given_ptr, row, o_p, o_c, m_c, sites, edits, channels)
    if beside_ptr is not None:
        row = find_row(where, beside_starts_ptr, beside_widths, o_s, m_in, sites, BESIDE)
        d_b = taken(beside_ptr, row, o_p, o_c, m_c, sites, edits, channels)
    made = tl.where(m_in[:, None], a * d_b + (b + d_b) * d_a, 0.0)
    tl.store(out_ptr + lines_at(o_m, o_c, channels), made, mask=m_m[:, None] & m_c[None, :])


def delta_product(
    factors: Sequence[Any],
    rows_out: Any,
    out: Tensor,  # [W, S, E, C] contiguous, written in full
    *,
    length: int,
) -> None:
    """Launch the product on contiguous arguments; those of the op, with the output behind them."""
    (given, rows_in, (a, a_sequence, a_first)), (beside, rows, (b, b_sequence, b_first)) = factors
    in_starts, in_widths = rows_in or (None, ())
    beside_starts, beside_widths = rows or (None, ())
    starts, widths = rows_out
    window, sites, edits, channels = out.shape
    if out.numel() == 0:
        return
    with torch.cuda.device_of(out):
        _delta_product_kernel[grid_of(out)](
            given, in_starts, coded(in_widths), a, a_sequence,
            beside, beside_starts, coded(beside_widths), b, b_sequence, starts, coded(widths), out,
            window * sites * edits, sites, edits, channels,
            a_first, a.shape[1], len(a), b_first, b.shape[1], len(b), length,
            IN=len(in_widths), BESIDE=len(beside_widths), OUT=len(widths), num_warps=warps_of(out), **BLOCK,
        )  # fmt: skip
