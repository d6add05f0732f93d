"""The meaning of ``attention_statistics``."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from nucleoscope.naive.ops._scores import Scores, blocks, logits, of_queries, refuse_rows


class Statistics(NamedTuple):
    """What is told of attention P without keeping it: five numbers a query, one a key."""

    lse: Tensor  # [B, H, Lq]  log of the sum of exp of its logits
    entropy: Tensor  # [B, H, Lq]  in nats, from 0 (one key) to log(keys)
    peak: Tensor  # [B, H, Lq]  its largest weight
    squares: Tensor  # [B, H, Lq]  sum of P^2; 1 less it is the trace of the softmax's Jacobian
    cubes: Tensor  # [B, H, Lq]  sum of P^3
    columns: Tensor  # [B, H, Lk]  sum of P over the queries: what each key gets


def attention_statistics(
    query: Tensor,  # [B, H, Lq, D]
    key: Tensor,  # [B, G, Lk, D]
    scores: Scores | None = None,
    *,
    block: int | None = None,
) -> Statistics:
    """Row statistics and column sums of attention; ``block`` queries at a time hold a matrix."""
    scores = Scores() if scores is None else scores
    rows: list[list[Tensor]] = []
    columns = query.new_zeros(*query.shape[:2], key.shape[2])
    for begin, end in blocks(query.shape[2], block):
        made = logits(query[:, :, begin:end], key, of_queries(scores, begin, end))
        lse = made.logsumexp(-1)
        refuse_rows("attention_statistics", lse, begin)
        p = made.softmax(-1)
        entropy = -(p * (made - lse[..., None]).masked_fill(p == 0, 0.0)).sum(-1)
        rows.append([lse, entropy, p.amax(-1), p.square().sum(-1), p.pow(3).sum(-1)])
        columns += p.sum(-2)
    lse, entropy, peak, squares, cubes = (torch.cat(parts, -1) for parts in zip(*rows, strict=True))
    return Statistics(lse, entropy, peak, squares, cubes, columns)
