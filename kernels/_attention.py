"""Tiles of attention's logits, in units of log 2, which the attention kernels share.

How logits are made is a tuple of pointers and numbers that ``scoring`` writes down and ``scored`` reads; what
is not there is None, and no code is made for it.
"""

import math
from typing import Any

import triton
import triton.language as tl
from torch import Tensor

LOG2_E = math.log2(math.e)
CHANNELS = (
    64  # of a head; where it has more they go by in parts, since held in registers they spilled
)
# Numbers that differ from call to call: triton would compile anew for each that is 1 or a multiple of 16.
PLAIN = ("heads", "groups", "queries", "keys", "width", "first", "behind", "ahead", "many")


def scoring(query: Tensor, key: Tensor, scores: Any) -> dict[str, Any]:
    """Arguments that every attention kernel takes, of the op's own."""
    (B, H, Lq, D), (G, Lk) = query.shape, key.shape[1:3]
    far = Lq + Lk + abs(scores.first)
    rows, columns = scores.steps
    coarse = (-(-Lq // rows), -(-Lk // columns))

    def spread(tensor: Tensor | None, *axes: int) -> Any:
        return None if tensor is None else (tensor, *tensor.expand(B, H, *axes).stride())

    kinds = 1
    if scores.table is not None:
        kinds = scores.table.shape[3] if scores.index is None else len(scores.index)
    return {
        "query_ptr": query, "key_ptr": key, "mask": spread(scores.mask, Lq, Lk),
        "bias": spread(scores.bias, *coarse), "table": spread(scores.table, Lq, -1),
        "index_ptr": scores.index, "slopes_ptr": scores.slopes, "heads": H, "groups": G, "queries": Lq,
        "keys": Lk, "width": D, "first": scores.first,
        "behind": far if scores.behind is None else scores.behind,
        "ahead": far if scores.ahead is None else scores.ahead,
        "scale": scores.scale * LOG2_E, "softcap": (scores.softcap or 0.0) * LOG2_E,
        "steps": (rows, columns, kinds), "CAPPED": scores.softcap is not None,
    }  # fmt: skip


def narrow(width: int, scores: Any) -> bool:
    """Whether channels go by in parts and tiles are small: else so many registers are needed that some spill."""
    return width > CHANNELS or any(
        each is not None for each in (scores.mask, scores.bias, scores.table)
    )


def tile_of(width: int, beside: bool, small: bool) -> dict[str, int]:
    """Queries and keys of a tile and the channels that are read of them, for heads of so many channels."""
    sizes = {"BM": 64, "BN": 32}
    if small or beside:  # a second product a tile, or sums of heads
        sizes = {"BM": 16 if small and beside else 32, "BN": 32}
    return {**sizes, "BD": channels_of(width, small), "num_warps": 4, "num_stages": 2}


def channels_of(width: int, small: bool) -> int:
    """Channels that are multiplied at a time."""
    fitting = int(triton.next_power_of_2(width))
    return max(16, min(fitting, CHANNELS // 2 if small else CHANNELS))


@triton.jit
def rows_of(ptr, i_bh, o_n, count, width, d, BD: tl.constexpr):
    """Channels from d on of rows o_n of a head's [count, width], [N, BD]; zero beyond both ends."""
    o_d = d + tl.arange(0, BD)
    p = ptr + (i_bh * count + o_n)[:, None] * width + o_d[None, :]
    return tl.load(p, mask=(o_n < count)[:, None] & (o_d < width)[None, :], other=0.0)


@triton.jit
def products(
    a_ptr, i_a, o_a, many_a, b_ptr, i_b, o_b, many_b, width, scale,
    DOT: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BD: tl.constexpr,
):  # fmt: skip
    """Products of rows o_a times scale with rows o_b, [BM, BN], BD channels at a time."""
    s = tl.zeros((BM, BN), tl.float32)
    for d in range(0, width, BD):
        b_a = rows_of(a_ptr, i_a, o_a, many_a, width, d, BD) * scale
        b_b = rows_of(b_ptr, i_b, o_b, many_b, width, d, BD)
        s += tl.dot(b_a, tl.trans(b_b), input_precision=DOT)
    return s


@triton.jit
def entries(spread, i_b, i_h, o_i, o_j, seen, other):
    """Entries [I, J] of what is spread over the logits."""
    ptr, by_b, by_h, by_i, by_j = spread
    p = ptr + (i_b * by_b + i_h * by_h) + (o_i * by_i)[:, None] + o_j * by_j
    return tl.load(p, mask=seen, other=other)


@triton.jit
def scored(s, i_b, i_h, o_i, o_j, how, CAPPED: tl.constexpr):
    """Logits [I, J] of products that are scaled; -inf where no key is seen, or none is."""
    (
        mask,
        bias,
        table,
        index_ptr,
        slopes_ptr,
        queries,
        keys,
        first,
        behind,
        ahead,
        softcap,
        steps,
    ) = how
    inside = (o_i < queries)[:, None] & (o_j < keys)[None, :]
    distance = o_j[None, :] - o_i[:, None] - first
    if table is not None:
        kinds = steps[2]
        kind = tl.minimum(tl.maximum(distance + kinds // 2, 0), kinds - 1)
        if index_ptr is not None:
            kind = tl.load(index_ptr + kind).to(tl.int64)
        s += entries(table, i_b, i_h, o_i, kind, inside, 0.0) * 1.4426950408889634
    if bias is not None:
        rows, columns = o_i // steps[0], (o_j // steps[1])[None, :]
        s += entries(bias, i_b, i_h, rows, columns, inside, 0.0) * 1.4426950408889634
    if CAPPED:
        y = s * (2.0 * 1.4426950408889634 / softcap)  # exp2 of it is exp of twice s / softcap
        e = tl.exp2(-tl.abs(y))
        far = softcap * (1.0 - e) / (1.0 + e)
        x = s / softcap
        near = s * (1.0 - x * x * (1.0 / 3.0 - x * x * (2.0 / 15.0 - x * x * (17.0 / 315.0))))
        s = tl.where(tl.abs(x) < 0.1, near, tl.where(s < 0.0, -far, far))
    if slopes_ptr is not None:
        slope = tl.load(slopes_ptr + i_h) * 1.4426950408889634
        s -= slope * tl.abs(distance).to(tl.float32)
    seen = inside & (distance >= -behind) & (distance <= ahead)
    if mask is not None:
        seen = seen & (entries(mask, i_b, i_h, o_i, o_j[None, :], inside, 0) != 0)
    return tl.where(seen, s, float("-inf"))
