"""Log-sum-exp of attention's logits."""

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


def attention_lse(
    query: Tensor,  # [B, H, Lq, D] float32 or float64
    key: Tensor,  # [B, G, Lk, D]
    scores: Scores | None = None,
) -> Tensor:  # [B, H, Lq]
    """Log of the sum of exp of each query's logits, in nats, in memory that grows with Lq + Lk.

    exp(logit - lse) is the query's attention. Not differentiable.

    Equivalent to::

        torch.logsumexp(logits(query, key, scores), -1)

    The softmax by running maximum: Milakov and Gimelshein 2018, arXiv 1805.02867. float64 is computed by
    the definition, block by block.

    Args:
        query: queries of H heads.
        key: keys of G heads; H / G neighbouring heads of queries share one.
        scores: how logits are made of their products; None: the products over sqrt(D).

    Returns:
        The log-sum-exp of each query.

    Raises:
        TypeError: a tensor has another dtype.
        ValueError: shapes or devices disagree; on a CPU also where a query sees no key or its logits are
            not finite (on a GPU those are -inf and NaN: to ask would be to wait for it).
    """
    out: Tensor = torch.ops.nucleoscope.attention_lse.default(query, key, *flat(query, scores))
    return out


def _fake(query: Tensor, *_: Any) -> Tensor:
    return query.new_empty(query.shape[:3])


def _cpu(query: Tensor, key: Tensor, *scores: Any) -> Tensor:
    if query.dtype != torch.float32:
        return _other(query, key, *scores)
    given = Attention("attention_lse", query, key, *scores).compiled()
    lse = query.new_empty(query.shape[:3])
    _C.attention_lse_float32(given.arguments, lse.data_ptr(), torch.get_num_threads())
    refuse_rows("attention_lse", lse)
    return lse


def _cuda(query: Tensor, key: Tensor, *scores: Any) -> Tensor:
    if query.dtype != torch.float32:
        return _other(query, key, *scores)
    from nucleoscope.kernels.attention_lse import attention_lse as launch

    call = Attention("attention_lse", query, key, *scores)
    lse = query.new_empty(query.shape[:3])
    launch(query.contiguous(), key.contiguous(), call.scores, lse)
    return lse


def _other(query: Tensor, key: Tensor, *scores: Any) -> Tensor:
    call = Attention("attention_lse", query, key, *scores)
    return naive.attention_lse(query, key, call.scores, block=BLOCK)


register(
    f"attention_lse(Tensor query, Tensor key, {SCORES}) -> Tensor",
    fake=_fake,
    cpu=_cpu,
    cuda=_cuda,
    other=_other,
)
