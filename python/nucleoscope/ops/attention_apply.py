"""Rows times attention, without the attention."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nucleoscope.naive import ops as naive
from nucleoscope.naive.ops import Scores
from nucleoscope.naive.ops._scores import refuse_rows
from nucleoscope.ops._attention import BLOCK, SCORES, Attention, flat
from nucleoscope.ops._extension import _C
from nucleoscope.ops._registration import register


def attention_apply(
    query: Tensor,  # [B, H, Lq, D] float32 or float64
    key: Tensor,  # [B, G, Lk, D]
    r: Tensor,  # [B, H or 1, M, Lq]
    scores: Scores | None = None,
) -> Tensor:  # [B, H, M, Lk]
    """r P for M rows r: what each key gets where each query hands on its weight by its attention P.

    That is one step of attention rollout (Abnar and Zuidema 2020) and, with r for the gradient of the
    output, attention's gradient by its values. Each row of P sums to 1, so a row of the result sums to what
    its row of r sums to: a check at no cost. P is never stored; memory grows with M * (Lq + Lk). Not
    differentiable.

    Equivalent to::

        r @ torch.softmax(logits(query, key, scores), -1)

    The log-sum-exp is computed in the same pass, in the same number type: with one of another precision the
    rows of P would not sum to 1. float64 is computed by the definition, block by block.

    Args:
        query: queries of H heads.
        key: keys of G heads; H / G neighbouring heads of queries share one.
        r: weights of the queries, a row for each target; 1 head serves all. Queries without a weight in any
            row cost nothing where they lie in blocks.
        scores: how logits are made of products; None: the products over sqrt(D).

    Returns:
        What each key gets, head by head.

    Raises:
        TypeError: a tensor has another dtype.
        ValueError: shapes or devices disagree; on a CPU also where a query sees no key or its logits are
            not finite (on a GPU its weights are then NaN: to ask would be to wait for it).
    """
    out: Tensor = torch.ops.nucleoscope.attention_apply.default(query, key, r, *flat(query, scores))
    return out


def _fake(query: Tensor, key: Tensor, r: Tensor, *_: Any) -> Tensor:
    return query.new_empty(*query.shape[:2], r.shape[2], key.shape[2])


def _cpu(query: Tensor, key: Tensor, r: Tensor, *scores: Any) -> Tensor:
    if query.dtype != torch.float32:
        return _other(query, key, r, *scores)
    call = Attention("attention_apply", query, key, *scores)
    given, r = call.compiled(), call.read_r(r)
    out, lse = _fake(query, key, r), query.new_zeros(query.shape[:3])
    _C.attention_apply_float32(
        given.arguments, r.data_ptr(), (r.stride(0), r.stride(1), r.shape[2]), out.data_ptr(), lse.data_ptr(),
        torch.get_num_threads(),
    )  # fmt: skip
    refuse_rows("attention_apply", lse)
    return out


def _cuda(query: Tensor, key: Tensor, r: Tensor, *scores: Any) -> Tensor:
    if query.dtype != torch.float32:
        return _other(query, key, r, *scores)
    from nucleoscope.kernels.attention_apply import attention_apply as launch

    call = Attention("attention_apply", query, key, *scores)
    out = _fake(query, key, r)
    launch(query.contiguous(), key.contiguous(), call.read_r(r), call.scores, out)
    return out


def _other(query: Tensor, key: Tensor, r: Tensor, *scores: Any) -> Tensor:
    call = Attention("attention_apply", query, key, *scores)
    return naive.attention_apply(query, key, call.read_r(r), call.scores, block=BLOCK)


register(
    f"attention_apply(Tensor query, Tensor key, Tensor r, {SCORES}) -> Tensor",
    fake=_fake,
    cpu=_cpu,
    cuda=_cuda,
    other=_other,
)
