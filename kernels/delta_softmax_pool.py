"""Attention pooling of a delta: see ``nucleoscope.ops.delta_softmax_pool`` for the contract."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._blocks import BLOCK, PLAIN, block_of, grid_of, lines_at, original_at, taken, warps_of
from ._functions import exp, expm1, larger, log, log1p
from ._rows import coded, find_row, position_of

_PLAIN = (*PLAIN, "z_first", "z_kept", "z_many", "taps", "stride", "length_in")


@triton.jit
def _original(cell, held, tap):
    """The original at one member of each line's cell."""
    _, o_s, m_in, o_c, m_c, begin, count, _, _, channels = cell
    values_ptr, sequence_ptr, first, kept, many = held
    m_tap = m_in & (tap < count)
    return original_at(
        values_ptr, sequence_ptr, begin + tap, o_s, m_tap, o_c, m_c, first, kept, many, channels
    )


@triton.jit
def _change(cell, delta, tap, none, PIECES: tl.constexpr):
    """The change at one member of each line's cell; none where there is no delta."""
    o_p, o_s, m_in, o_c, m_c, begin, count, sites, edits, channels = cell
    values_ptr, starts_ptr, widths = delta
    made = none
    if values_ptr is not None:
        m_tap = m_in & (tap < count)
        row = find_row(begin + tap, starts_ptr, widths, o_s, m_tap, sites, PIECES)
        made = taken(values_ptr, row, o_p, o_c, m_c, sites, edits, channels)
    return made


@triton.jit
def _risen(log_p, dz):
    """The share of one member in what the normaliser grows by; a large change joins its exponent, so that a
    weight too small for a number is not lost."""
    p = exp(log_p)
    return tl.where(dz > 1.0, exp(log_p + dz) - p, p * expm1(tl.where(dz > 1.0, 0.0, dz)))


@triton.jit(do_not_specialize=_PLAIN)
def _delta_softmax_pool_kernel(
    given_ptr,  # [V, S, E, C], or None
    in_starts_ptr,
    in_widths,
    logits_ptr,  # [U, S, E, C], or None
    beside_starts_ptr,
    beside_widths,
    starts_ptr,
    widths,
    x_ptr,
    x_sequence_ptr,
    z_ptr,
    z_sequence_ptr,
    out_ptr,  # [W, S, E, C]
    lines,
    sites,
    edits,
    channels,
    first,
    kept,
    many,
    z_first,
    z_kept,
    z_many,
    taps,
    stride,
    length_in,
    length,
    IN: tl.constexpr,
    BESIDE: tl.constexpr,
    OUT: tl.constexpr,
    BLOCK_LINES: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
):
    """Each cell in four passes: the largest logits, the sums, the normaliser's change D, the weights' changes.

    A weight p changes by p expm1(dz - D), or from the edited weight's side; small changes keep their digits.
    """
    o_m, m_m, i_w, o_p, o_s, o_c, m_c = block_of(
        lines, sites, edits, channels, BLOCK_LINES, BLOCK_CHANNELS
    )
    where = position_of(i_w, starts_ptr, widths, o_s, m_m, sites, OUT)
    m_in = m_m & (where >= 0) & (where < length)
    begin = where * stride
    count = tl.minimum(length_in - begin, taps)  # members of the cell
    m_in = m_in & (count > 0)
    cell = (o_p, o_s, m_in, o_c, m_c, begin, count, sites, edits, channels)
    of_x, of_z = (
        (x_ptr, x_sequence_ptr, first, kept, many),
        (z_ptr, z_sequence_ptr, z_first, z_kept, z_many),
    )
    values, logits = (
        (given_ptr, in_starts_ptr, in_widths),
        (logits_ptr, beside_starts_ptr, beside_widths),
    )
    none = tl.zeros((BLOCK_LINES, BLOCK_CHANNELS), out_ptr.dtype.element_ty)
    most, most_now = none - float("inf"), none - float("inf")
    for tap in range(taps):
        m_tap = (m_in & (tap < count))[:, None]
        z, dz = _original(cell, of_z, tap), _change(cell, logits, tap, none, BESIDE)
        most = tl.where(m_tap, larger(most, z), most)
        most_now = tl.where(m_tap, larger(most_now, z + dz), most_now)
    total, total_now, mean = none, none, none
    for tap in range(taps):
        m_tap = (m_in & (tap < count))[:, None]
        z, dz = _original(cell, of_z, tap), _change(cell, logits, tap, none, BESIDE)
        power = tl.where(m_tap, exp(z - most), 0.0)
        total += power
        mean += power * tl.where(m_tap, _original(cell, of_x, tap), 0.0)
        total_now += tl.where(m_tap, exp(z + dz - most_now), 0.0)
    mean = mean / total
    change = none  # D
    if logits_ptr is not None:
        log_total, rise = log(total), none
        for tap in range(taps):
            m_tap = (m_in & (tap < count))[:, None]
            z, dz = _original(cell, of_z, tap), _change(cell, logits, tap, none, BESIDE)
            rise += tl.where(m_tap, _risen(z - most - log_total, dz), 0.0)
        near = tl.abs(rise) < 0.5
        far = (most_now - most) + (log(total_now) - log_total)
        change = tl.where(near, log1p(tl.where(near, rise, 0.0)), far)
    made = none
    for tap in range(taps):
        m_tap = (m_in & (tap < count))[:, None]
        z, dz = _original(cell, of_z, tap), _change(cell, logits, tap, none, BESIDE)
        was, now, moved = exp(z - most) / total, exp(z + dz - most_now) / total_now, dz - change
        each = now * _change(cell, values, tap, none, IN)
        if logits_ptr is not None:
            shrunk = expm1(-tl.abs(moved))
            weight = tl.where(moved > 0.0, now * -shrunk, was * shrunk)
            each += weight * (_original(cell, of_x, tap) - mean)
        made += tl.where(m_tap, each, 0.0)
    made = tl.where(m_in[:, None], made, 0.0)
    tl.store(out_ptr + lines_at(o_m, o_c, channels), made, mask=m_m[:, None] & m_c[None, :])


def delta_softmax_pool(
    given: Tensor | None,
    rows_in: Any,
    logits: Tensor | None,
    beside: Any,
    rows_out: Any,
    original: Any,
    original_logits: Any,
    out: Tensor,  # [W, S, E, C] contiguous, written in full
    *,
    taps: int,
    stride: int,
    length_in: int,
    length: int,
) -> None:
    """Launch the pool on contiguous arguments; those of the op, with the output behind them."""
    in_starts, in_widths = rows_in or (None, ())
    beside_starts, beside_widths = beside or (None, ())
    starts, widths = rows_out
    x, x_sequence, x_first = original
    z, z_sequence, z_first = original_logits
    window, sites, edits, channels = out.shape
    if out.numel() == 0:
        return
    with torch.cuda.device_of(out):
        _delta_softmax_pool_kernel[grid_of(out)](
            given, in_starts, coded(in_widths), logits, beside_starts, coded(beside_widths),
            starts, coded(widths), x, x_sequence, z, z_sequence, out,
            window * sites * edits, sites, edits, channels,
            x_first, x.shape[1], len(x), z_first, z.shape[1], len(z), taps, stride, length_in, length,
            IN=len(in_widths), BESIDE=len(beside_widths), OUT=len(widths), **BLOCK,
            num_warps=warps_of(out, 4),  # eight elements take 166 registers
        )  # fmt: skip
