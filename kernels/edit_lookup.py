"""First-layer look-up of the delta engine: see ``nucleoscope.ops.edit_lookup`` for the contract.

As a link of a chain it finds the taps itself, and takes the function behind the look-up before it stores.
"""

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._blocks import BLOCK, PLAIN, block_of, grid_of, lines_at, original_at, warps_of
from ._changes import change_of
from ._rows import coded, position_of

# One program writes 8 sites x 64 channels for one window row. Four elements a thread keep it at 64
# registers (32 sites take 166 to 197), and the op lives on memory traffic, hence on occupancy.
BLOCK_SITES = 8
BLOCK_CHANNELS = 64


@triton.jit
def _edit_lookup_kernel(
    table_ptr,  # [K, A, C]
    taps_ptr,  # [W, S]
    old_ptr,  # [S]
    new_ptr,  # [S, E]
    out_ptr,  # [W, S, E, C]
    letters,
    channels,
    sites,
    edits,
    BLOCK_SITES: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
):
    """out[w, s, e] = table[taps[w, s], new[s, e]] - table[taps[w, s], old[s]]; -1 means zero."""
    i_w = tl.program_id(1).to(tl.int64)
    o_s = tl.program_id(0).to(tl.int64) * BLOCK_SITES + tl.arange(0, BLOCK_SITES)
    o_c = tl.program_id(2).to(tl.int64) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    m_s = o_s < sites
    m_c = (o_c < channels)[None, :]

    b_tap = tl.load(taps_ptr + i_w * sites + o_s, mask=m_s, other=-1).to(tl.int64)
    b_old = tl.load(old_ptr + o_s, mask=m_s, other=-1).to(tl.int64)
    m_old = (b_tap >= 0) & (b_old >= 0)
    p_old = table_ptr + ((b_tap * letters + b_old) * channels)[:, None] + o_c[None, :]
    b_before = tl.load(p_old, mask=m_old[:, None] & m_c, other=0.0)

    for i_e in range(edits):
        b_new = tl.load(new_ptr + o_s * edits + i_e, mask=m_s, other=-1).to(tl.int64)
        m_new = (b_tap >= 0) & (b_new >= 0)
        p_new = table_ptr + ((b_tap * letters + b_new) * channels)[:, None] + o_c[None, :]
        b_after = tl.load(p_new, mask=m_new[:, None] & m_c, other=0.0)
        o_row = ((i_w * sites + o_s) * edits + i_e) * channels
        tl.store(
            out_ptr + o_row[:, None] + o_c[None, :], b_after - b_before, mask=m_s[:, None] & m_c
        )


def edit_lookup(
    table: Tensor,  # [K, A, C] contiguous
    taps: Tensor,  # [W, S] int32, contiguous
    old: Tensor,  # [S] int32, contiguous
    new: Tensor,  # [S, E] int32, contiguous
    out: Tensor,  # [W, S, E, C] contiguous, written in full
) -> None:
    """Launch the look-up on the arguments' device. Indices must have been checked."""
    _, letters, channels = table.shape
    window, sites = taps.shape
    edits = new.shape[1]
    if out.numel() == 0:
        return
    grid = (triton.cdiv(sites, BLOCK_SITES), window, triton.cdiv(channels, BLOCK_CHANNELS))
    with torch.cuda.device_of(out):
        _edit_lookup_kernel[grid](
            table,
            taps,
            old,
            new,
            out,
            letters,
            channels,
            sites,
            edits,
            BLOCK_SITES=BLOCK_SITES,
            BLOCK_CHANNELS=BLOCK_CHANNELS,
        )


_PLAIN = (*PLAIN, "taps", "letters", "stride", "dilation", "pad")


@triton.jit(do_not_specialize=_PLAIN)
def _look_up_at_kernel(
    table_ptr,  # [K, A, C]
    site_ptr,  # [S] int64
    old_ptr,  # [S]
    new_ptr,  # [S, E]
    starts_ptr,
    widths,
    values_ptr,
    sequence_ptr,
    out_ptr,  # [W, S, E, C]
    taps,
    letters,
    stride,
    dilation,
    pad,
    lines,
    sites,
    edits,
    channels,
    first,
    kept,
    many,
    length,
    PIECES: tl.constexpr,
    FUNCTION: tl.constexpr,
    A: tl.constexpr,
    B: tl.constexpr,
    C: tl.constexpr,
    BLOCK_LINES: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
):
    """The change of a convolution at each row that sees its site's edited position, and of the function
    behind it; zero elsewhere. A letter that is not in the table gives NaN: to ask before would be to wait.
    """
    o_m, m_m, i_w, o_p, o_s, o_c, m_c = block_of(
        lines, sites, edits, channels, BLOCK_LINES, BLOCK_CHANNELS
    )
    where = position_of(i_w, starts_ptr, widths, o_s, m_m, sites, PIECES)
    past = tl.load(site_ptr + o_s, mask=m_m, other=0) + pad - where * stride
    tap = past // dilation
    m_seen = m_m & (where >= 0) & (where < length) & (past >= 0) & (tap < taps)
    m_seen = m_seen & (tap * dilation == past)

    b_old = tl.load(old_ptr + o_s, mask=m_seen, other=-1).to(tl.int64)
    b_new = tl.load(new_ptr + o_p, mask=m_seen, other=-1).to(tl.int64)
    m_known = (b_old >= -1) & (b_old < letters) & (b_new >= -1) & (b_new < letters)
    m_old, m_new = m_seen & m_known & (b_old >= 0), m_seen & m_known & (b_new >= 0)
    p_old = table_ptr + lines_at(tap * letters + b_old, o_c, channels)
    p_new = table_ptr + lines_at(tap * letters + b_new, o_c, channels)
    b_before = tl.load(p_old, mask=m_old[:, None] & m_c[None, :], other=0.0)
    b_after = tl.load(p_new, mask=m_new[:, None] & m_c[None, :], other=0.0)
    d = tl.where(m_known[:, None], b_after - b_before, float("nan"))
    z = d
    if values_ptr is not None:
        z = original_at(
            values_ptr, sequence_ptr, where, o_s, m_seen, o_c, m_c, first, kept, many, channels
        )
    made = tl.where(m_seen[:, None], change_of(z, d, FUNCTION, A, B, C), 0.0)
    tl.store(out_ptr + lines_at(o_m, o_c, channels), made, mask=m_m[:, None] & m_c[None, :])


def look_up_at(
    table: Tensor,  # [K, A, C] contiguous
    site: Tensor,  # [S] int64, contiguous
    old: Tensor,  # [S] int32, contiguous
    new: Tensor,  # [S, E] int32, contiguous
    rows: Any,
    original: Any,  # of the function behind it; None: there is none
    function: str,
    parameters: Sequence[float],
    out: Tensor,  # [W, S, E, C] contiguous, written in full
    *,
    stride: int,
    dilation: int,
    pad: int,
    length: int,
) -> None:
    """Launch the look-up of a layer with this geometry, and the function behind it."""
    starts, widths = rows
    values, sequence, first = original or (None, None, 0)
    window, sites, edits, channels = out.shape
    if out.numel() == 0:
        return
    a, b, c = (*parameters, 0.0, 0.0, 0.0)[:3]
    many, kept = (0, 0) if values is None else values.shape[:2]
    with torch.cuda.device_of(out):
        _look_up_at_kernel[grid_of(out)](
            table, site, old, new, starts, coded(widths), values, sequence, out,
            *table.shape[:2], stride, dilation, pad, window * sites * edits, sites, edits, channels,
            first, kept, many, length,
            PIECES=len(widths), FUNCTION="none" if values is None else function, A=a, B=b, C=c,
            num_warps=warps_of(out), **BLOCK,
        )  # fmt: skip
