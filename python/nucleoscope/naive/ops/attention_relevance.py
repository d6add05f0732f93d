"""The meaning of ``attention_relevance``."""

from __future__ import annotations

from torch import Tensor

from nucleoscope.naive.ops._scores import Scores, attention, blocks, shared


def attention_relevance(
    query: Tensor,  # [B, H, Lq, D]
    key: Tensor,  # [B, G, Lk, D]
    value: Tensor,  # [B, G, Lk, E]
    grad: Tensor,  # [B, H, Lq, E]
    r: Tensor,  # [B, H, M, Lq]
    scores: Scores | None = None,
    *,
    block: int | None = None,
) -> Tensor:  # [B, H, M, Lk]
    """r (P * max(grad value^T, 0)); ``block`` queries at a time hold a matrix."""
    scores = Scores() if scores is None else scores
    made = r.new_zeros(*query.shape[:2], r.shape[2], key.shape[2])
    values = shared(value, query)
    for begin, end in blocks(query.shape[2], block):
        p = attention("attention_relevance", query, key, r, scores, begin, end)
        made += r[..., begin:end] @ (p * (grad[:, :, begin:end] @ values.mT).relu())
    return made
