"""Log-sum-exp of attention, and moments of its rows: see ``nucleoscope.ops.attention_lse`` for the contract.

A program takes some queries of a head past all keys that they see, with a running maximum.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._attention import PLAIN, narrow, products, rows_of, scored, scoring, tile_of


@triton.jit(do_not_specialize=PLAIN)
def _attention_lse_kernel(
    query_ptr,  # [B, H, Lq, D]
    key_ptr,  # [B, G, Lk, D]
    mask,
    bias,
    table,
    index_ptr,
    slopes_ptr,
    rows,  # lse; or lse, entropy, peak, squares and cubes: [B, H, Lq] each
    heads,
    groups,
    queries,
    keys,
    width,
    first,
    behind,
    ahead,
    scale,
    softcap,
    steps,
    CAPPED: tl.constexpr,
    MOMENTS: tl.constexpr,
    BITS: tl.constexpr,  # lse in units of log 2
    DOT: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BD: tl.constexpr,
    WIDE: tl.constexpr,  # channels go by in parts
):
    i_bh = tl.program_id(1).to(tl.int64)
    i_b, i_h = i_bh // heads, i_bh % heads
    i_bg = i_b * groups + i_h // (heads // groups)
    begin = tl.program_id(0) * BM
    o_i = begin + tl.arange(0, BM).to(tl.int64)
    how = (
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
    )
    if not WIDE:
        b_q = rows_of(query_ptr, i_bh, o_i, queries, width, 0, BD) * scale
    least = tl.maximum(begin + first - behind, 0) // BN * BN
    last = tl.minimum(tl.minimum(begin + BM, queries) + first + ahead, keys)
    top = tl.full((BM,), -1.0e30, tl.float32)
    total = tl.zeros((BM,), tl.float32)
    bits, squares, cubes = total, total, total
    for j in range(least, last, BN):
        o_j = j + tl.arange(0, BN).to(tl.int64)
        if WIDE:
            s = products(
                query_ptr, i_bh, o_i, queries, key_ptr, i_bg, o_j, keys, width, scale, DOT, BM, BN, BD
            )  # fmt: skip
        else:
            b_k = rows_of(key_ptr, i_bg, o_j, keys, width, 0, BD)
            s = tl.dot(b_q, tl.trans(b_k), input_precision=DOT)
        s = scored(s, i_b, i_h, o_i, o_j, how, CAPPED)
        moved = tl.maximum(top, tl.max(s, 1))
        factor = tl.exp2(top - moved)
        x = s - moved[:, None]
        e = tl.exp2(x)
        if MOMENTS:
            near = tl.maximum(x, -200.0)  # of -inf, whose e is 0
            bits = (bits + (top - moved) * total) * factor + tl.sum(e * near, 1)
            squares = squares * factor * factor + tl.sum(e * e, 1)
            cubes = cubes * factor * factor * factor + tl.sum(e * e * e, 1)
        total = total * factor + tl.sum(e, 1)
        top = moved
    lse = tl.where(total > 0.0, top + tl.log2(total), tl.where(total == 0.0, float("-inf"), total))
    o, m = i_bh * queries + o_i, o_i < queries
    if MOMENTS:
        tl.store(rows[0] + o, lse if BITS else lse * 0.6931471805599453, mask=m)
        entropy = (tl.log2(total) - bits / total) * 0.6931471805599453
        tl.store(rows[1] + o, tl.where(entropy < 0.0, 0.0, entropy), mask=m)
        tl.store(rows[2] + o, 1.0 / total, mask=m)
        tl.store(rows[3] + o, squares / (total * total), mask=m)
        tl.store(rows[4] + o, cubes / (total * total * total), mask=m)
    else:
        tl.store(rows[0] + o, lse if BITS else lse * 0.6931471805599453, mask=m)


def launch_rows(
    query: Tensor, key: Tensor, scores: Any, *rows: Tensor, bits: bool, precision: str
) -> None:
    """Write the log-sum-exp (``bits``: in units of log 2) and, where given, the moments of each query."""
    small = narrow(query.shape[3], scores)
    tile = tile_of(query.shape[3], beside=False, small=small)
    grid = (triton.cdiv(query.shape[2], tile["BM"]), query.shape[0] * query.shape[1])
    _attention_lse_kernel[grid](
        **scoring(query, key, scores),
        rows=rows,
        MOMENTS=len(rows) > 1,
        BITS=bits,
        DOT=precision,
        WIDE=small,
        **tile,
    )


def attention_lse(
    query: Tensor, key: Tensor, scores: Any, lse: Tensor, *, precision: str = "tf32x3"
) -> None:
    """Launch on contiguous arguments; those of the op, with the output behind them."""
    with torch.cuda.device_of(lse):
        launch_rows(query, key, scores, lse, bits=False, precision=precision)
