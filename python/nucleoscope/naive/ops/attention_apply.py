"""The meaning of ``attention_apply``."""

from __future__ import annotations

from torch import Tensor

from nucleoscope.naive.ops._scores import Scores, attention, blocks


def attention_apply(
    query: Tensor,  # [B, H, Lq, D]
    key: Tensor,  # [B, G, Lk, D]
    r: Tensor,  # [B, H, M, Lq]
    scores: Scores | None = None,
    *,
    block: int | None = None,
) -> Tensor:  # [B, H, M, Lk]
    """r P: what each key gets of the queries' weights; ``block`` queries at a time hold a matrix."""
    scores = Scores() if scores is None else scores
    made = r.new_zeros(*query.shape[:2], r.shape[2], key.shape[2])
    for begin, end in blocks(query.shape[2], block):
        p = attention("attention_apply", query, key, r, scores, begin, end)
        made += r[..., begin:end] @ p
    return made
