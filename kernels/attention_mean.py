"""Heads of attention added up: see ``nucleoscope.ops.attention_mean`` for the contract.

A program holds a tile of queries by keys and takes the heads past it, each with its log-sum-exp of a pass
before, made of the same products.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._attention import PLAIN, products, scored, scoring, tile_of
from .attention_lse import launch_rows


@triton.jit(do_not_specialize=PLAIN)
def _attention_mean_kernel(
    query_ptr,  # [B, H, Lq, D]
    key_ptr,  # [B, G, Lk, D]
    mask,
    bias,
    table,
    index_ptr,
    slopes_ptr,
    share_ptr,  # [H]
    lse_ptr,  # [B, H, Lq] in units of log 2
    out_ptr,  # [B, Lq, Lk]
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
    DOT: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BD: tl.constexpr,
):
    i_b = tl.program_id(2).to(tl.int64)
    o_i = tl.program_id(1) * BM + tl.arange(0, BM).to(tl.int64)
    o_j = tl.program_id(0) * BN + tl.arange(0, BN).to(tl.int64)
    m_i = o_i < queries
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
    total = tl.zeros((BM, BN), tl.float32)
    for i_h in range(heads):
        share = tl.load(share_ptr + i_h)
        if share != 0.0:
            i_bh = i_b * heads + i_h
            i_bg = i_b * groups + i_h // (heads // groups)
            lse = tl.load(lse_ptr + i_bh * queries + o_i, mask=m_i, other=0.0)
            lse = tl.where(lse == float("-inf"), float("nan"), lse)
            s = products(
                query_ptr, i_bh, o_i, queries, key_ptr, i_bg, o_j, keys, width, scale, DOT, BM, BN, BD
            )  # fmt: skip
            s = scored(s, i_b, i_h, o_i, o_j, how, CAPPED)
            total += share * tl.exp2(s - lse[:, None])
    p_out = out_ptr + (i_b * queries + o_i)[:, None] * keys + o_j[None, :]
    tl.store(p_out, total, mask=m_i[:, None] & (o_j < keys)[None, :])


def attention_mean(
    query: Tensor,
    key: Tensor,
    share: Tensor,
    scores: Any,
    out: Tensor,
    *,
    precision: str = "tf32x3",
) -> None:
    """Launch on contiguous arguments; the output is written in full."""
    lse = query.new_empty(query.shape[:3])
    # Larger tiles need more registers than there are.
    tile = {**tile_of(query.shape[3], beside=True, small=True), "BN": 16}
    grid = (
        triton.cdiv(key.shape[2], tile["BN"]),
        triton.cdiv(query.shape[2], tile["BM"]),
        query.shape[0],
    )
    with torch.cuda.device_of(out):
        launch_rows(query, key, scores, lse, bits=True, precision=precision)
        _attention_mean_kernel[grid](
            **scoring(query, key, scores),
            share_ptr=share,
            lse_ptr=lse,
            out_ptr=out,
            DOT=precision,
            **tile,
        )
