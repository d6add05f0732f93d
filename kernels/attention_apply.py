"""Rows times attention: see ``nucleoscope.ops.attention_apply`` for the contract.

A program holds some keys of a head and takes queries past them, each with its log-sum-exp of a pass before,
made of the same products. Where keys are few, the queries are split over programs; what these make is added
in the order of the splits: nothing is added by atomics, so numbers are the same each time.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._attention import PLAIN, channels_of, narrow, products, rows_of, scored, scoring, tile_of
from .attention_lse import launch_rows

PROGRAMS = (
    512  # so many fill a GPU; a number of its own and not the device's, so that sums agree on all
)


@triton.jit
def _weights(r, targets, i_b, i_h, o_i, lse, m_i, queries, many, MB: tl.constexpr):
    """r of the targets at queries o_i, [MB, I], NaN where one with a weight sees no key; and which have one."""
    o_m = targets + tl.arange(0, MB)
    p = r[0] + i_b * r[1] + i_h * r[2] + o_m[:, None] * queries + o_i[None, :]
    b_r = tl.load(p, mask=(o_m < many)[:, None] & m_i[None, :], other=0.0)
    b_r = tl.where((lse == float("-inf"))[None, :] & (b_r != 0.0), float("nan"), b_r)
    return b_r, tl.max((b_r != 0.0).to(tl.int32), 0) > 0


@triton.jit(do_not_specialize=[*PLAIN, "wide", "share"])
def _attention_apply_kernel(
    query_ptr,  # [B, H, Lq, D]
    key_ptr,  # [B, G, Lk, D]
    mask,
    bias,
    table,
    index_ptr,
    slopes_ptr,
    value_ptr,  # [B, G, Lk, wide], or None
    grad_ptr,  # [B, H, Lq, wide], or None
    lse_ptr,  # [B, H, Lq] in units of log 2
    r,  # pointer to [B, H, M, Lq] and strides over B and H; None: 1
    out_ptr,  # [splits, B, H, M, Lk]
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
    wide,
    many,
    share,  # queries of a split, a multiple of BM
    CAPPED: tl.constexpr,
    DOT: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BD: tl.constexpr,
    BE: tl.constexpr,
    WIDE: tl.constexpr,  # channels go by in parts
    MB: tl.constexpr,  # targets of a program
):
    blocks = tl.cdiv(many, MB)
    i_bh = (tl.program_id(1) // blocks).to(tl.int64)
    targets = (tl.program_id(1) % blocks) * MB
    i_b, i_h = i_bh // heads, i_bh % heads
    i_bg = i_b * groups + i_h // (heads // groups)
    begin = tl.program_id(0) * BN
    o_j = begin + tl.arange(0, BN).to(tl.int64)
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
        b_k = rows_of(key_ptr, i_bg, o_j, keys, width, 0, BD)
    if value_ptr is not None and not WIDE:
        b_v = rows_of(value_ptr, i_bg, o_j, keys, wide, 0, BE)
    total = tl.zeros((MB, BN), tl.float32)
    split = tl.program_id(2) * share
    least = tl.maximum(begin - first - ahead, split) // BM * BM
    last = tl.minimum(tl.minimum(begin + BN - first + behind, split + share), queries)
    for i in range(tl.maximum(least, split), last, BM):
        o_i = i + tl.arange(0, BM).to(tl.int64)
        m_i = o_i < queries
        lse = tl.load(lse_ptr + i_bh * queries + o_i, mask=m_i, other=0.0)
        if WIDE:
            s = products(
                query_ptr, i_bh, o_i, queries, key_ptr, i_bg, o_j, keys, width, scale, DOT, BM, BN, BD
            )  # fmt: skip
        else:
            b_q = rows_of(query_ptr, i_bh, o_i, queries, width, 0, BD) * scale
            s = tl.dot(b_q, tl.trans(b_k), input_precision=DOT)
        s = scored(s, i_b, i_h, o_i, o_j, how, CAPPED)
        p = tl.exp2(s - tl.where(lse == float("-inf"), 0.0, lse)[:, None])
        if value_ptr is not None:
            if WIDE:
                by_p = products(
                    grad_ptr, i_bh, o_i, queries, value_ptr, i_bg, o_j, keys, wide, 1.0, DOT, BM, BN, BE
                )  # fmt: skip
            else:
                b_g = rows_of(grad_ptr, i_bh, o_i, queries, wide, 0, BE)
                by_p = tl.dot(b_g, tl.trans(b_v), input_precision=DOT)
            p *= tl.where(by_p > 0.0, by_p, tl.where(by_p == by_p, 0.0, by_p))  # a NaN stays
        if r is None:
            total += tl.sum(p, 0)[None, :]
        else:
            b_r, asked = _weights(r, targets, i_b, i_h, o_i, lse, m_i, queries, many, MB)
            p = tl.where(asked[:, None], p, 0.0)
            if MB == 1:
                total += tl.sum(tl.trans(b_r) * p, 0)[None, :]
            else:
                total += tl.dot(b_r, p, input_precision=DOT)
    o_m = targets + tl.arange(0, MB)
    i_part = tl.program_id(2) * (tl.num_programs(1) // blocks) + i_bh
    p_out = out_ptr + (i_part * many + o_m)[:, None] * keys + o_j[None, :]
    tl.store(p_out, total, mask=(o_m < many)[:, None] & (o_j < keys)[None, :])


def launch_keys(
    query: Tensor, key: Tensor, scores: Any, r: Tensor | None, lse: Tensor, out: Tensor, *,
    value: Tensor | None = None, grad: Tensor | None = None, precision: str,
) -> None:  # fmt: skip
    """Hand on ``r`` (None: 1) by attention of which ``lse`` is in units of log 2."""
    (B, H, Lq, D), Lk = query.shape, key.shape[2]
    many, wide = out.shape[2], 1 if value is None else value.shape[3]
    small = narrow(max(D, wide), scores)
    tile = tile_of(D, beside=True, small=small)
    targets = 1 if many == 1 else 16  # with 32 or more some registers spilled
    columns = triton.cdiv(Lk, tile["BN"])
    heads = B * H * triton.cdiv(many, targets)
    rows = triton.cdiv(Lq, tile["BM"])
    share = triton.cdiv(rows, max(1, min(rows, PROGRAMS // (columns * heads))))
    splits = triton.cdiv(rows, share)
    parts = out[None] if splits == 1 else out.new_empty(splits, *out.shape)
    _attention_apply_kernel[(columns, heads, splits)](
        **scoring(query, key, scores), value_ptr=value, grad_ptr=grad, lse_ptr=lse,
        r=None if r is None else (r, *r.stride()[:2]), out_ptr=parts, wide=wide, many=many,
        share=share * tile["BM"], DOT=precision, BE=channels_of(wide, small), WIDE=small, MB=targets,
        **tile,
    )  # fmt: skip
    if splits > 1:
        torch.sum(parts, 0, out=out)


def attention_apply(
    query: Tensor, key: Tensor, r: Tensor, scores: Any, out: Tensor, *, precision: str = "tf32x3"
) -> None:
    """Launch on arguments that are contiguous, r but for its heads; the output is written in full."""
    lse = query.new_empty(query.shape[:3])
    with torch.cuda.device_of(out):
        launch_rows(query, key, scores, lse, bits=True, precision=precision)
        launch_keys(query, key, scores, r, lse, out, precision=precision)
