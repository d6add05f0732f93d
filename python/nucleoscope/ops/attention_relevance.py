"""Gradient-weighted attention, applied without being stored."""

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


def attention_relevance(
    query: Tensor,  # [B, H, Lq, D] float32 or float64
    key: Tensor,  # [B, G, Lk, D]
    value: Tensor,  # [B, G, Lk, E]
    grad: Tensor,  # [B, H, Lq, E]
    r: Tensor,  # [B, H or 1, M, Lq]
    scores: Scores | None = None,
) -> Tensor:  # [B, H, M, Lk]
    """r times the positive part of attention P times its gradient: one step of gradient-weighted rollout.

    The gradient of a target by P is grad @ value^T, with grad the target's gradient by the head's output
    (before the projection that joins heads): so neither P nor its gradient needs to be stored. Since P is
    never negative, the positive part of the product is P times that of the gradient. Not differentiable.

    Equivalent to::

        r @ (torch.softmax(logits(query, key, scores), -1) * (grad @ value.mT).relu())

    Chefer, Gur and Wolf 2021, arXiv 2103.15679, eq. 5. float64 is computed by the definition, block by
    block.

    Args:
        query: queries of H heads.
        key: keys of G heads; H / G neighbouring heads of queries share one.
        value: values of the same G heads.
        grad: the target's gradient by the output of each head.
        r: relevance of the queries; 1 head serves all. Several rows share the one grad.
        scores: how logits are made of products; None: the products over sqrt(D).

    Returns:
        Relevance that each key gets, head by head, in the target's units.

    Raises:
        TypeError: a tensor has another dtype.
        ValueError: shapes or devices disagree; on a CPU also where a query sees no key or its logits are
            not finite (on a GPU what it hands on is then NaN: to ask would be to wait for it).
    """
    out: Tensor = torch.ops.nucleoscope.attention_relevance.default(
        query, key, value, grad, r, *flat(query, scores)
    )
    return out


def _fake(query: Tensor, key: Tensor, _value: Tensor, _grad: Tensor, r: Tensor, *_: Any) -> Tensor:
    return query.new_empty(*query.shape[:2], r.shape[2], key.shape[2])


def _read(
    query: Tensor, key: Tensor, value: Tensor, grad: Tensor, r: Tensor, scores: tuple[Any, ...]
) -> tuple[Attention, Tensor]:
    call = Attention("attention_relevance", query, key, *scores)
    call.arguments.read("value", value, "BGKE", query.dtype)
    call.arguments.read("grad", grad, "BHQE", query.dtype)
    return call, call.read_r(r)


def _cpu(
    query: Tensor, key: Tensor, value: Tensor, grad: Tensor, r: Tensor, *scores: Any
) -> Tensor:
    if query.dtype != torch.float32:
        return _other(query, key, value, grad, r, *scores)
    call, r = _read(query, key, value, grad, r, scores)
    given, value, grad = call.compiled(), value.contiguous(), grad.contiguous()
    out, lse = _fake(query, key, value, grad, r), query.new_zeros(query.shape[:3])
    _C.attention_relevance_float32(
        given.arguments, value.data_ptr(), grad.data_ptr(), value.shape[3], r.data_ptr(),
        (r.stride(0), r.stride(1), r.shape[2]), out.data_ptr(), lse.data_ptr(), torch.get_num_threads(),
    )  # fmt: skip
    refuse_rows("attention_relevance", lse)
    return out


def _cuda(
    query: Tensor, key: Tensor, value: Tensor, grad: Tensor, r: Tensor, *scores: Any
) -> Tensor:
    if query.dtype != torch.float32:
        return _other(query, key, value, grad, r, *scores)
    from nucleoscope.kernels.attention_relevance import attention_relevance as launch

    call, r = _read(query, key, value, grad, r, scores)
    out = _fake(query, key, value, grad, r)
    tensors = (each.contiguous() for each in (query, key, value, grad))
    launch(*tensors, r, call.scores, out)
    return out


def _other(
    query: Tensor, key: Tensor, value: Tensor, grad: Tensor, r: Tensor, *scores: Any
) -> Tensor:
    call, r = _read(query, key, value, grad, r, scores)
    return naive.attention_relevance(query, key, value, grad, r, call.scores, block=BLOCK)


register(
    "attention_relevance(Tensor query, Tensor key, Tensor value, Tensor grad, Tensor r, "
    f"{SCORES}) -> Tensor",
    fake=_fake,
    cpu=_cpu,
    cuda=_cuda,
    other=_other,
)
