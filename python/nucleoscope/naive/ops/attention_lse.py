"""The meaning of ``attention_lse``."""

from __future__ import annotations

import torch
from torch import Tensor

from nucleoscope.naive.ops._scores import Scores, blocks, logits, of_queries, refuse_rows


def attention_lse(
    query: Tensor,  # [B, H, Lq, D]
    key: Tensor,  # [B, G, Lk, D]
    scores: Scores | None = None,
    *,
    block: int | None = None,
) -> Tensor:  # [B, H, Lq]
    """Log of the sum of exp of each query's logits; ``block`` queries at a time hold a matrix."""
    scores = Scores() if scores is None else scores
    parts = [
        logits(query[:, :, begin:end], key, of_queries(scores, begin, end)).logsumexp(-1)
        for begin, end in blocks(query.shape[2], block)
    ]
    made = torch.cat(parts, -1)
    refuse_rows("attention_lse", made)
    return made
