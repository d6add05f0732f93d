"""Attention of all heads as one matrix, where as many rows are asked for as there are tokens."""

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


def attention_mean(
    query: Tensor,  # [B, H, Lq, D] float32 or float64
    key: Tensor,  # [B, G, Lk, D]
    share: Tensor,  # [H]
    scores: Scores | None = None,
) -> Tensor:  # [B, Lq, Lk]
    """The attention of each query, summed over heads with what each head counts: 1 / H for their mean.

    A row sums to the sum of the shares. It holds the matrix of one head, and of no other: with as many rows
    to hand on as there are tokens that is less work than handing on each row head by head, since the product
    of rows with it is made once and not H times. Pass a block of queries where a whole matrix is too much. Not
    differentiable.

    Equivalent to::

        (share[:, None, None] * torch.softmax(logits(query, key, scores), -1)).sum(1)

    float64 is computed by the definition, block by block.

    Args:
        query: queries of H heads.
        key: keys of G heads; H / G neighbouring heads of queries share one.
        share: what each head counts; those of 0 are left out and cost nothing.
        scores: how logits are made of products; None: the products over sqrt(D).

    Returns:
        Weights of every query at every key.

    Raises:
        TypeError: a tensor has another dtype.
        ValueError: shapes or devices disagree; on a CPU also where a query of a head that counts sees no key
            or its logits are not finite (on a GPU its weights are then NaN: to ask would be to wait for it).
    """
    out: Tensor = torch.ops.nucleoscope.attention_mean.default(
        query, key, share, *flat(query, scores)
    )
    return out


def _fake(query: Tensor, key: Tensor, *_: Any) -> Tensor:
    return query.new_empty(query.shape[0], query.shape[2], key.shape[2])


def _call(query: Tensor, key: Tensor, share: Tensor, *scores: Any) -> Attention:
    call = Attention("attention_mean", query, key, *scores)
    call.arguments.read("share", share, "H", query.dtype)
    return call


def _cpu(query: Tensor, key: Tensor, share: Tensor, *scores: Any) -> Tensor:
    if query.dtype != torch.float32:
        return _other(query, key, share, *scores)
    given = _call(query, key, share, *scores).compiled()
    share = share.contiguous()
    out, lse = _fake(query, key), query.new_zeros(query.shape[:3])
    _C.attention_mean_float32(
        given.arguments, share.data_ptr(), out.data_ptr(), lse.data_ptr(), torch.get_num_threads()
    )
    refuse_rows("attention_mean", lse)
    return out


def _cuda(query: Tensor, key: Tensor, share: Tensor, *scores: Any) -> Tensor:
    if query.dtype != torch.float32:
        return _other(query, key, share, *scores)
    from nucleoscope.kernels.attention_mean import attention_mean as launch

    call = _call(query, key, share, *scores)
    out = _fake(query, key)
    launch(query.contiguous(), key.contiguous(), share.contiguous(), call.scores, out)
    return out


def _other(query: Tensor, key: Tensor, share: Tensor, *scores: Any) -> Tensor:
    call = _call(query, key, share, *scores)
    return naive.attention_mean(query, key, share, call.scores, block=BLOCK)


register(
    f"attention_mean(Tensor query, Tensor key, Tensor share, {SCORES}) -> Tensor",
    fake=_fake,
    cpu=_cpu,
    cuda=_cuda,
    other=_other,
)
