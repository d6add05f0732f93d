"""Rows in pieces, as the kernels see them: see ``nucleoscope.naive.ops.Rows``.

A kernel takes the starts [P, S] and ``coded(widths)``, a tuple of numbers, with P as a constexpr: it is
compiled once for each number of pieces, not for each width.
"""

from collections.abc import Iterable

import triton
import triton.language as tl


def coded(widths: Iterable[int]) -> tuple[int, ...]:
    """Widths as a kernel takes them: odd and above 1, since triton compiles anew for 1 and for multiples of 16.

    ``do_not_specialize`` does not reach into a tuple.
    """
    return tuple(2 * width + 3 for width in widths)


@triton.jit
def decoded(width):
    """The width that was coded."""
    return (width - 3) // 2


@triton.jit
def position_of(row, starts_ptr, widths, o_s, m_s, sites, PIECES: tl.constexpr):
    """The layer's position of a row (one number) at each site o_s, int64; where m_s does not hold, 0."""
    where = o_s.to(tl.int64) * 0
    base = row * 0
    for piece in tl.static_range(PIECES):
        b_start = tl.load(starts_ptr + piece * sites + o_s, mask=m_s, other=0)
        where = tl.where(row >= base, tl.where(m_s, b_start + (row - base), 0), where)
        base += decoded(widths[piece])
    return where


@triton.jit
def find_row(where, starts_ptr, widths, o_s, m_s, sites, PIECES: tl.constexpr):
    """The row that holds the position ``where`` (int64, one a site o_s); -1 where none does or m_s is false."""
    row = where * 0 - 1
    base = where * 0
    for piece in tl.static_range(PIECES):
        b_start = tl.load(starts_ptr + piece * sites + o_s, mask=m_s, other=0)
        relative = where - b_start
        width = decoded(widths[piece])
        row = tl.where(m_s & (relative >= 0) & (relative < width), relative + base, row)
        base += width
    return row
