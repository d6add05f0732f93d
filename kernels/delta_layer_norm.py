"""LayerNorm of a delta: see ``nucleoscope.ops.delta_layer_norm`` for the contract."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._blocks import BLOCK, PLAIN, block_of, grid_of, lines_at, original_at, warps_of
from ._functions import sqrt
from ._rows import coded, position_of

_PLAIN = (*PLAIN, "groups")


@triton.jit
def _read(given_ptr, held, line, o_i, wide, channels):
    """z and d of some channels o_i of each line's group, zero behind its end; and which are before it."""
    values_ptr, sequence_ptr, first, kept, many = held
    o_m, where, o_s, m_in, begin = line
    m_i, o_c = o_i < wide, begin + o_i
    z = original_at(
        values_ptr, sequence_ptr, where, o_s, m_in, o_c, m_i, first, kept, many, channels
    )
    p_given = given_ptr + lines_at(o_m, o_c, channels)
    d = tl.load(p_given, mask=m_in[:, None] & m_i[None, :], other=0.0)
    return tl.where(m_i[None, :], z, 0.0), d, m_i[None, :]


@triton.jit(do_not_specialize=_PLAIN)
def _delta_layer_norm_kernel(
    given_ptr,  # [W, S, E, C]
    starts_ptr,
    widths,
    values_ptr,
    sequence_ptr,
    weight_ptr,  # [wide], or None
    out_ptr,  # [W, S, E, C]
    lines,
    sites,
    edits,
    wide,
    groups,
    first,
    kept,
    many,
    length,
    PIECES: tl.constexpr,
    EPS: tl.constexpr,  # as arguments they would be rounded to float32
    LIMIT: tl.constexpr,
    BLOCK_LINES: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
):
    """A group of channels of each line, in three passes: means, squares, and what they come to.

    What the first pass read lies in L1 when the others want it.
    """
    i_g, channels = tl.program_id(1), groups * wide
    o_m, m_m, i_w, _, o_s, o_i, _ = block_of(
        lines, sites, edits, BLOCK_CHANNELS, BLOCK_LINES, BLOCK_CHANNELS
    )
    where = position_of(i_w, starts_ptr, widths, o_s, m_m, sites, PIECES)
    m_in = m_m & (where >= 0) & (where < length)
    begin = i_g * wide
    held = (values_ptr, sequence_ptr, first, kept, many)
    line = (o_m, where, o_s, m_in, begin)
    middle = tl.zeros((BLOCK_LINES,), out_ptr.dtype.element_ty)
    shift, squares, rise, spread, size, changed = middle, middle, middle, middle, middle, middle
    for i in range(0, wide, BLOCK_CHANNELS):
        z, d, m_i = _read(given_ptr, held, line, i + o_i, wide, channels)
        middle += tl.sum(z, 1)
        shift += tl.sum(d, 1)
        size = tl.maximum(size, tl.max(tl.abs(z), 1))
        changed = tl.maximum(changed, tl.max(tl.abs(d), 1))
    middle, shift = (middle / wide)[:, None], (shift / wide)[:, None]
    for i in range(0, wide, BLOCK_CHANNELS):
        z, d, m_i = _read(given_ptr, held, line, i + o_i, wide, channels)
        z, d = tl.where(m_i, z - middle, 0.0), tl.where(m_i, d - shift, 0.0)
        squares += tl.sum(z * z, 1)
        rise += tl.sum(d * (z + z + d), 1)
        spread += tl.sum((z + d) * (z + d), 1)
    was, now = 1.0 / sqrt(squares / wide + EPS), 1.0 / sqrt(spread / wide + EPS)
    slope = -(rise / wide) * was * now * (was * now / (was + now))  # now - was
    steepest = tl.where(now > was, now, was)
    lost = (changed > 0.0) & ((size * steepest > LIMIT) | (changed * now > LIMIT))
    tighter = (now > was)[:, None]
    factor = tl.where(now > was, was, now)[:, None]
    for i in range(0, wide, BLOCK_CHANNELS):
        z, d, m_i = _read(given_ptr, held, line, i + o_i, wide, channels)
        z, d = z - middle, d - shift
        made = d * factor + tl.where(tighter, z + d, z) * slope[:, None]
        if weight_ptr is not None:
            made *= tl.load(weight_ptr + i + o_i, mask=i + o_i < wide, other=0.0)[None, :]
        made = tl.where(lost[:, None], float("nan"), made)
        p_out = out_ptr + lines_at(o_m, begin + i + o_i, channels)
        tl.store(p_out, tl.where(m_in[:, None], made, 0.0), mask=m_m[:, None] & m_i)


def delta_layer_norm(
    given: Tensor,
    rows: Any,
    original: Any,
    length: int,
    out: Tensor,  # [W, S, E, C] contiguous, written in full
    *,
    wide: int,
    weight: Tensor | None,
    eps: float,
    limit: float,
) -> None:
    """Launch the norm on contiguous arguments; those of the op, with the output behind them."""
    starts, widths = rows
    values, sequence, first = original
    window, sites, edits, channels = out.shape
    if out.numel() == 0:
        return
    # Groups that are not aligned take 238 registers with eight.
    elements = 8 if wide % 16 == 0 else 2
    with torch.cuda.device_of(out):
        grid = (*grid_of(out[..., :1]), channels // wide)
        _delta_layer_norm_kernel[grid](
            given, starts, coded(widths), values, sequence, weight, out,
            window * sites * edits, sites, edits, wide, channels // wide,
            first, values.shape[1], len(values), length,
            PIECES=len(widths), EPS=eps, LIMIT=limit, num_warps=warps_of(out, elements), **BLOCK,
        )  # fmt: skip
