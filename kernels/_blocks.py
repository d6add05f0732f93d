"""Blocks of an output [W, S, E, C] that programs make: lines (w, s, e) by channels, masked at both ends.

What waits for memory lives on occupancy: eight elements a thread keep it at 30 to 72 registers, and the
lines of one site, next to each other, find the original that they share in L1.
"""

import triton
import triton.language as tl
from torch import Tensor

BLOCK = {"BLOCK_LINES": 16, "BLOCK_CHANNELS": 64}
# Numbers that differ from call to call: triton would compile anew for each that is 1 or a multiple of 16.
PLAIN = ("lines", "sites", "edits", "first", "kept", "many", "length")


def grid_of(out: Tensor) -> tuple[int]:
    """The programs for an output."""
    window, sites, edits, channels = out.shape
    if sites * edits >= 2**31 - BLOCK["BLOCK_LINES"]:
        raise ValueError(
            f"{sites} sites of {edits} edits in one batch: a kernel counts them in 32 bits, make it smaller"
        )
    lines = triton.cdiv(window * sites * edits, BLOCK["BLOCK_LINES"])
    return (lines * triton.cdiv(channels, BLOCK["BLOCK_CHANNELS"]),)


def warps_of(out: Tensor, elements: int = 8) -> int:
    """Warps of a program, so that a thread makes so many elements; of float64, which takes two registers, half."""
    return 32 // elements * out.element_size() // 4


@triton.jit
def block_of(
    lines, sites, edits, channels, BLOCK_LINES: tl.constexpr, BLOCK_CHANNELS: tl.constexpr
):
    """This program's lines o_m (int64), their row i_w, pair of site and edit o_p and site o_s; its channels."""
    blocks = tl.cdiv(channels, BLOCK_CHANNELS)
    program = tl.program_id(0)
    begin = (program // blocks).to(tl.int64) * BLOCK_LINES
    pairs = sites * edits
    before = begin // pairs
    lane = (begin - before * pairs).to(tl.int32) + tl.arange(0, BLOCK_LINES)
    o_m = begin + tl.arange(0, BLOCK_LINES)
    i_w, o_p = before + lane // pairs, lane % pairs
    o_c = (program % blocks) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    return o_m, o_m < lines, i_w, o_p, o_p // edits, o_c, o_c < channels


@triton.jit
def lines_at(o_m, o_c, channels):
    """Offsets [lines, channels] of lines of an array."""
    return (o_m * channels)[:, None] + o_c[None, :]


@triton.jit
def taken(values_ptr, row, o_p, o_c, m_c, sites, edits, channels):
    """values [V, S, E, C] at each line's row (int64); zero where it is -1."""
    p_values = values_ptr + lines_at(row * (sites * edits) + o_p, o_c, channels)
    return tl.load(p_values, mask=(row >= 0)[:, None] & m_c[None, :], other=0.0)


@triton.jit
def original_at(
    values_ptr, sequence_ptr, where, o_s, m_m, o_c, m_c, first, kept, many, channels
):  # fmt: skip
    """The original [N, L, C] at each line's position; beyond those kept it is clamped.

    Of a sequence that is not there it is NaN: to ask before would be to wait for the device.
    """
    b_sequence = tl.load(sequence_ptr + o_s, mask=m_m, other=0).to(tl.int64)
    row = tl.minimum(tl.maximum(where - first, 0), kept - 1)
    m_known = m_m & (b_sequence >= 0) & (b_sequence < many)
    p_values = values_ptr + lines_at(b_sequence * kept + row, o_c, channels)
    return tl.load(p_values, mask=m_known[:, None] & m_c[None, :], other=float("nan"))
