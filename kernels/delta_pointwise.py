"""An elementwise function of a delta: see ``nucleoscope.ops.delta_pointwise`` for the contract."""

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._blocks import BLOCK, PLAIN, block_of, grid_of, lines_at, original_at, warps_of
from ._changes import change_of
from ._rows import coded, position_of


@triton.jit(do_not_specialize=PLAIN)
def _delta_pointwise_kernel(
    given_ptr,  # [W, S, E, C]
    starts_ptr,
    widths,
    values_ptr,
    sequence_ptr,
    out_ptr,  # [W, S, E, C]
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
    """out = g(z + given) - g(z), z the original of each row's position; zero beyond the layer's ends."""
    o_m, m_m, i_w, _, o_s, o_c, m_c = block_of(
        lines, sites, edits, channels, BLOCK_LINES, BLOCK_CHANNELS
    )
    where = position_of(i_w, starts_ptr, widths, o_s, m_m, sites, PIECES)
    m_in = m_m & (where >= 0) & (where < length)
    z = original_at(
        values_ptr, sequence_ptr, where, o_s, m_in, o_c, m_c, first, kept, many, channels
    )
    o_out = lines_at(o_m, o_c, channels)
    d = tl.load(given_ptr + o_out, mask=m_in[:, None] & m_c[None, :], other=0.0)
    made = tl.where(m_in[:, None], change_of(z, d, FUNCTION, A, B, C), 0.0)
    tl.store(out_ptr + o_out, made, mask=m_m[:, None] & m_c[None, :])


def delta_pointwise(
    given: Tensor,
    rows: Any,
    original: Any,
    length: int,
    function: str,
    parameters: Sequence[float],
    out: Tensor,  # [W, S, E, C] contiguous, written in full
) -> None:
    """Launch the function on contiguous arguments; those of the op, with the output behind them."""
    starts, widths = rows
    values, sequence, first = original
    window, sites, edits, channels = out.shape
    if out.numel() == 0:
        return
    a, b, c = (*parameters, 0.0, 0.0, 0.0)[:3]
    with torch.cuda.device_of(out):
        _delta_pointwise_kernel[grid_of(out)](
            given, starts, coded(widths), values, sequence, out,
            window * sites * edits, sites, edits, channels, first, values.shape[1], len(values), length,
            PIECES=len(widths), FUNCTION=function, A=a, B=b, C=c, num_warps=warps_of(out), **BLOCK,
        )  # fmt: skip
