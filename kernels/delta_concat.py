"""Deltas of layers side by side over the channels: see ``nucleoscope.ops.delta_concat`` for the contract."""

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._blocks import BLOCK, PLAIN, block_of, grid_of, lines_at, taken, warps_of
from ._rows import coded, find_row, position_of

_PLAIN = (*PLAIN, "in_first", "beside_first")


@triton.jit(do_not_specialize=_PLAIN)
def _delta_concat_kernel(
    given_ptr,  # [V, S, E, wide]
    in_starts_ptr,
    in_widths,
    beside_ptr,  # [X, S, E, beside_wide], or None
    beside_starts_ptr,
    beside_widths,
    starts_ptr,
    widths,
    out_ptr,  # [W, S, E, C]
    lines,
    sites,
    edits,
    channels,
    wide,
    in_first,
    beside_wide,
    beside_first,
    length,
    IN: tl.constexpr,
    BESIDE: tl.constexpr,
    OUT: tl.constexpr,
    BLOCK_LINES: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
):
    """Each part's channels from its first on; zero in those of no part, and beyond the layer's ends."""
    o_m, m_m, i_w, o_p, o_s, o_c, m_c = block_of(
        lines, sites, edits, channels, BLOCK_LINES, BLOCK_CHANNELS
    )
    where = position_of(i_w, starts_ptr, widths, o_s, m_m, sites, OUT)
    m_in = m_m & (where >= 0) & (where < length)
    row = find_row(where, in_starts_ptr, in_widths, o_s, m_in, sites, IN)
    o_in = o_c - in_first
    m_part = (o_in >= 0) & (o_in < wide)
    made = taken(given_ptr, row, o_p, o_in, m_part, sites, edits, wide)
    if beside_ptr is not None:
        row = find_row(where, beside_starts_ptr, beside_widths, o_s, m_in, sites, BESIDE)
        o_in = o_c - beside_first
        m_part = (o_in >= 0) & (o_in < beside_wide)
        other = taken(beside_ptr, row, o_p, o_in, m_part, sites, edits, beside_wide)
        made = tl.where(m_part[None, :], other, made)
    tl.store(out_ptr + lines_at(o_m, o_c, channels), made, mask=m_m[:, None] & m_c[None, :])


def delta_concat(
    parts: Sequence[Any],
    rows_out: Any,
    out: Tensor,  # [W, S, E, C] contiguous, written in full
    *,
    length: int,
) -> None:
    """Launch it on contiguous arguments; those of the op, with the output behind them."""
    none: Any = (None, (None, ()), 0)
    (given, (in_starts, in_widths), in_first), (beside, (beside_starts, beside_widths), first) = [
        *parts,
        none,
    ][:2]
    starts, widths = rows_out
    window, sites, edits, channels = out.shape
    if out.numel() == 0:
        return
    with torch.cuda.device_of(out):
        _delta_concat_kernel[grid_of(out)](
            given, in_starts, coded(in_widths), beside, beside_starts, coded(beside_widths),
            starts, coded(widths), out, window * sites * edits, sites, edits, channels,
            given.shape[3], in_first, 0 if beside is None else beside.shape[3], first, length,
            IN=len(in_widths), BESIDE=len(beside_widths), OUT=len(widths), num_warps=warps_of(out), **BLOCK,
        )  # fmt: skip
