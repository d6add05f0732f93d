"""What the kernels of ``delta_conv`` share: live taps, rounding of operands, and what follows the sum."""

import triton
import triton.language as tl

from ._rows import decoded, find_row

# Numbers that differ from call to call: triton would compile anew for each that is 1 or a multiple of 16.
PLAIN = (
    "first", "kept", "sites", "edits", "pairs", "window", "taps", "stride", "dilation", "pad", "length",
    "wide_units", "padded_units", "made_units", "group_units", "groups", "blocks",
)  # fmt: skip


def vector_of(channels: int) -> int:
    """What a number of channels is told to be a multiple of: 4, a vector, or nothing."""
    return 4 if channels % 4 == 0 else 1


@triton.jit
def round_tf32(x):
    """float32 rounded to TF32, half away from zero.

    Tensor cores drop the last 13 bits of what they are given: that is a bias, of 1e-3 after six layers.
    """
    bits = x.to(tl.int32, bitcast=True)
    rounded = ((bits + 0x1000) & -0x2000).to(tl.float32, bitcast=True)
    return tl.where(x == x, rounded, x)  # to a NaN of all ones a carry would be a zero's sign


@triton.jit
def operand(x, PRECISION: tl.constexpr):
    """A delta as it enters a product."""
    if PRECISION == "bf16":
        x = x.to(tl.bfloat16)
    elif PRECISION == "tf32":
        x = round_tf32(x)
    return x


@triton.jit
def live_taps(relative, width, inside, taps, dilation):
    """Per output row the taps [t0, t1) whose input rows one piece keeps, and the hull [begin, end) of them.

    ``relative``: the row of the piece that tap 0 would read; ``inside``: whether the output row is asked at all.
    """
    t0 = (tl.maximum(-relative, 0) + (dilation - 1)) // dilation
    t1 = tl.minimum((tl.maximum(width - relative, 0) + (dilation - 1)) // dilation, taps)
    live = inside & (t0 < t1)
    t0 = tl.where(live, t0, taps).to(tl.int32)
    t1 = tl.where(live, t1, 0).to(tl.int32)
    return t0, t1, tl.min(t0, 0), tl.max(t1, 0)


@triton.jit
def read_piece(where, starts_ptr, widths, piece: tl.constexpr, o_s, m_m, sites, stride, pad):
    """Where the taps of each output row begin in a piece of the input, and the piece's width."""
    b_start = tl.load(starts_ptr + piece * sites + o_s, mask=m_m, other=0)
    return where * stride - pad - b_start, decoded(widths[piece])


@triton.jit
def finish(
    total, c, many, out_ptr, i_w, rows, head, beside, channels, BESIDE: tl.constexpr, FIRST: tl.constexpr
):  # fmt: skip
    """Residual, ReLU and residual, as the op's contract has them, and the store; zero beyond the ends.

    ``total`` is [pairs, channels o_c]; rows, head and beside as the kernel has put them together. FIRST: the
    residual comes before the ReLU.
    """
    o_m, o_s, m_m, inside, where, sites, pairs = rows
    values_ptr, sequence_ptr, first, kept = head
    residual_ptr, starts_ptr, widths = beside
    o_c = tl.arange(0, total.shape[1])
    m_c = o_c < many
    o_c = c + o_c.to(tl.int64)
    m_out = inside[:, None] & m_c[None, :]
    joined = tl.zeros_like(total)
    if residual_ptr is not None:
        b_row = find_row(where, starts_ptr, widths, o_s, m_m, sites, BESIDE)
        p_residual = residual_ptr + ((b_row * pairs + o_m) * channels)[:, None] + o_c[None, :]
        joined = tl.load(p_residual, mask=(b_row >= 0)[:, None] & m_out, other=0.0)
    if FIRST:
        total += joined
    if values_ptr is not None:
        b_sequence = tl.load(sequence_ptr + o_s, mask=m_m, other=0).to(tl.int64)
        b_row = tl.minimum(tl.maximum(where - first, 0), kept - 1)
        p_z = values_ptr + ((b_sequence * kept + b_row) * channels)[:, None] + o_c[None, :]
        b_z = tl.load(p_z, mask=m_out, other=0.0)
        below = tl.minimum(b_z, 0.0, propagate_nan=tl.PropagateNan.ALL)
        above = tl.maximum(b_z, 0.0, propagate_nan=tl.PropagateNan.ALL)
        total = tl.maximum(total + below, -above, propagate_nan=tl.PropagateNan.ALL)
    if not FIRST:
        total += joined
    p_out = out_ptr + ((i_w * pairs + o_m) * channels)[:, None] + o_c[None, :]
    tl.store(p_out, tl.where(m_out, total, 0.0), mask=m_m[:, None] & m_c[None, :])


@triton.jit
def finish_in_parts(
    total, c, many, out_ptr, i_w, rows, head, beside, channels, BESIDE: tl.constexpr, FIRST: tl.constexpr,
    PARTS: tl.constexpr,
):  # fmt: skip
    """``finish``, a part of the columns after the other: their addresses together would fill the registers."""
    if PARTS == 1:
        finish(total, c, many, out_ptr, i_w, rows, head, beside, channels, BESIDE, FIRST)
    else:
        HALF: tl.constexpr = total.shape[1] // 2
        two = tl.permute(tl.reshape(total, (total.shape[0], 2, HALF)), (0, 2, 1))
        left, right = tl.split(two)
        finish_in_parts(
            left, c, many, out_ptr, i_w, rows, head, beside, channels, BESIDE, FIRST, PARTS // 2
        )
        finish_in_parts(
            right, c + HALF, many - HALF, out_ptr, i_w, rows, head, beside, channels, BESIDE, FIRST,
            PARTS // 2,
        )  # fmt: skip
