"""The meaning of ``attention_mean``."""

from __future__ import annotations

import torch
from torch import Tensor

from nucleoscope.naive.ops._scores import Scores, blocks, logits, of_queries, refuse_rows


def attention_mean(
    query: Tensor,  # [B, H, Lq, D]
    key: Tensor,  # [B, G, Lk, D]
    share: Tensor,  # [H]
    scores: Scores | None = None,
    *,
    block: int | None = None,
) -> Tensor:  # [B, Lq, Lk]
    """Sum over heads of what each counts times its attention; ``block`` queries at a time hold every head's."""
    scores = Scores() if scores is None else scores
    counts = (share != 0)[:, None]
    made = []
    for begin, end in blocks(query.shape[2], block):
        part = logits(query[:, :, begin:end], key, of_queries(scores, begin, end))
        refuse_rows("attention_mean", torch.where(counts, part.logsumexp(-1), 0.0), begin)
        weights = torch.where(counts[..., None], part.softmax(-1), 0.0)
        made.append(torch.einsum("h,bhij->bij", share, weights))
    return torch.cat(made, 1)
