"""What is told of attention in one pass, without storing it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nucleoscope.naive import ops as naive
from nucleoscope.naive.ops import Scores, Statistics
from nucleoscope.naive.ops._scores import refuse_rows
from nucleoscope.ops._attention import BLOCK, SCORES, Attention, flat
from nucleoscope.ops._extension import _C
from nucleoscope.ops._registration import register


def attention_statistics(
    query: Tensor,  # [B, H, Lq, D] float32 or float64
    key: Tensor,  # [B, G, Lk, D]
    scores: Scores | None = None,
) -> Statistics:  # lse, entropy, peak, squares, cubes [B, H, Lq]; columns [B, H, Lk]
    """Of attention P: how sharp each query's is (in nats and as sums of powers), and what each key gets.

    The trace of the softmax's Jacobian is ``1 - squares``; ``exp(entropy)`` is the perplexity, the number of
    keys that are read; keys with large ``columns`` are sinks. Not differentiable.

    Equivalent to::

        P = torch.softmax(logits(query, key, scores), -1)
        lse, entropy = torch.logsumexp(logits(...), -1), -(P * P.log()).sum(-1)
        peak, squares, cubes, columns = P.amax(-1), P.pow(2).sum(-1), P.pow(3).sum(-1), P.sum(-2)

    float64 is computed by the definition, block by block.

    Args:
        query: queries of H heads.
        key: keys of G heads; H / G neighbouring heads of queries share one.
        scores: how logits are made of products; None: the products over sqrt(D).

    Returns:
        The named statistics.

    Raises:
        TypeError: a tensor has another dtype.
        ValueError: shapes or devices disagree; on a CPU also where a query sees no key or its logits are
            not finite (on a GPU its numbers are then NaN or -inf: to ask would be to wait for it).
    """
    return Statistics(
        *torch.ops.nucleoscope.attention_statistics.default(query, key, *flat(query, scores))
    )


def _fake(query: Tensor, key: Tensor, *_: Any) -> list[Tensor]:
    rows = [query.new_empty(query.shape[:3]) for _ in Statistics._fields[:-1]]
    return [*rows, query.new_empty(*query.shape[:2], key.shape[2])]


def _cpu(query: Tensor, key: Tensor, *scores: Any) -> list[Tensor]:
    if query.dtype != torch.float32:
        return _other(query, key, *scores)
    given = Attention("attention_statistics", query, key, *scores).compiled()
    made = _fake(query, key)
    lse, entropy, peak, squares, cubes, columns = (each.data_ptr() for each in made)
    _C.attention_statistics_float32(
        given.arguments, (lse, entropy, peak, squares, cubes, columns), torch.get_num_threads()
    )
    refuse_rows("attention_statistics", made[0])
    return made


def _cuda(query: Tensor, key: Tensor, *scores: Any) -> list[Tensor]:
    if query.dtype != torch.float32:
        return _other(query, key, *scores)
    from nucleoscope.kernels.attention_statistics import attention_statistics as launch

    call = Attention("attention_statistics", query, key, *scores)
    made = _fake(query, key)
    launch(query.contiguous(), key.contiguous(), call.scores, made)
    return made


def _other(query: Tensor, key: Tensor, *scores: Any) -> list[Tensor]:
    call = Attention("attention_statistics", query, key, *scores)
    return list(naive.attention_statistics(query, key, call.scores, block=BLOCK))


register(
    f"attention_statistics(Tensor query, Tensor key, {SCORES}) -> Tensor[]",
    fake=_fake,
    cpu=_cpu,
    cuda=_cuda,
    other=_other,
)
