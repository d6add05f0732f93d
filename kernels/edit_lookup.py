"""First-layer look-up of the delta engine: see ``nucleoscope.ops.edit_lookup`` for the contract."""

import torch
import triton
import triton.language as tl
from torch import Tensor

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
