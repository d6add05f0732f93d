"""Correlations, ranks and areas of many rows at once; ties count as they should, and NaN is what is undefined."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

Correlation = Callable[[Tensor, Tensor], Tensor]


def pearson(a: Tensor, b: Tensor) -> Tensor:  # [..., n], [..., n] -> [...]
    """The correlation along the last axis; NaN where one of the two is constant.

    Equivalent to::

        numpy.corrcoef(a[i], b[i])[0, 1]
    """
    a, b = (each - each.mean(-1, keepdim=True) for each in (_unit(a), _unit(b)))
    across = (a * b).sum(-1)
    made = across / (a.square().sum(-1) * b.square().sum(-1)).sqrt()
    flat = (_is_constant(a)) | (_is_constant(b))
    return torch.where(flat, torch.nan, made.clamp(-1, 1))


def _unit(values: Tensor) -> Tensor:
    """Scaled to a largest size of 1, so that no square is lost or infinite."""
    top = values.abs().amax(-1, keepdim=True)
    return values / torch.where(top > 0, top, 1.0)


def _is_constant(centred: Tensor) -> Tensor:
    return centred.abs().amax(-1) < 1e-14  # of numbers whose largest was 1


def constant(values: Tensor) -> Tensor:  # [..., n] -> bool [...]
    """Whether all values along the last axis are the same, but for rounding."""
    scaled = _unit(values)
    return _is_constant(scaled - scaled.mean(-1, keepdim=True))


def with_truth(said: Tensor, truth: Tensor, correlation: Correlation = pearson) -> Tensor:
    """A correlation with what is so, along the last axis; NaN where the truth is constant.

    It is 0 where the truth varies and all that is said is the same. Were that undefined, it would be left out of
    means, and saying nothing where it is hard would be the best that an explainer can do.
    """
    silent = constant(said) & ~constant(truth)
    return torch.where(silent, 0.0, correlation(said, truth))


def ranks(values: Tensor) -> Tensor:  # [..., n] -> [..., n]
    """Ranks from 1 along the last axis, ties sharing their mean.

    Equivalent to::

        scipy.stats.rankdata(values[i])
    """
    # numpy's order is the fastest; how it orders ties is no matter, as they share a rank
    order = torch.from_numpy(np.argsort(values.numpy(), -1))
    ordered = values.gather(-1, order)
    rank = torch.arange(1, values.shape[-1] + 1, dtype=torch.float64).expand(values.shape)
    new = ordered[..., 1:] != ordered[..., :-1]
    tied = ~new.all(-1)
    if tied.any():
        rank = rank.clone()
        rank[tied] = _shared(rank[tied], new[tied])
    return torch.empty(values.shape, dtype=torch.float64).scatter_(-1, order, rank)


def _shared(rank: Tensor, new: Tensor) -> Tensor:  # [..., n], bool [..., n - 1] -> [..., n]
    """The mean rank of those that follow one another and are not new."""
    group = torch.zeros(rank.shape, dtype=torch.long)
    group[..., 1:] = new.cumsum(-1)
    total = torch.zeros(rank.shape, dtype=torch.float64).scatter_add_(-1, group, rank)
    many = torch.zeros_like(total).scatter_add_(-1, group, torch.ones_like(total))
    return (total / many).gather(-1, group)  # groups that are empty are not read


def spearman(a: Tensor, b: Tensor) -> Tensor:  # [..., n], [..., n] -> [...]
    """The correlation of ranks along the last axis; NaN where one of the two is constant."""
    return pearson(ranks(a), ranks(b))


def auroc(scores: Tensor, marked: Tensor) -> Tensor:  # [..., n], bool [..., n] -> [...]
    """How often a marked value is above one that is not; ties count half. NaN without both kinds.

    Equivalent to::

        sklearn.metrics.roc_auc_score(marked[i], scores[i])
    """
    many = marked.sum(-1, dtype=torch.float64)
    others = marked.shape[-1] - many
    total = (ranks(scores) * marked).sum(-1)
    return (total - many * (many + 1) / 2) / (many * others)  # 0 / 0 is NaN


def average_precision(scores: Tensor, marked: Tensor) -> Tensor:  # [..., n], bool [..., n] -> [...]
    """The area under precision against recall, a step at each distinct score. NaN where nothing is marked.

    Equivalent to::

        sklearn.metrics.average_precision_score(marked[i], scores[i])
    """
    ordered, order = scores.sort(-1, descending=True)
    found = marked.gather(-1, order).double().cumsum(-1)
    last = torch.ones_like(marked)
    last[..., :-1] = ordered[..., 1:] != ordered[..., :-1]
    kept = torch.where(last, found, 0.0)
    before = torch.zeros_like(kept)
    before[..., 1:] = kept.cummax(-1).values[..., :-1]
    precision = found / torch.arange(1, scores.shape[-1] + 1, dtype=torch.float64)
    return torch.where(last, (found - before) * precision, 0.0).sum(-1) / found[..., -1]


def gini(values: Tensor) -> Tensor:  # [..., n] -> [...]
    """How unequal sizes are: 0 all alike, 1 - 1 / n one alone. NaN where all are 0.

    Source: Hurley and Rickard 2009 (IEEE Trans. Inf. Theory 55, 4723).
    """
    sizes = values.abs()
    sizes.numpy().sort(-1)  # in place; numpy sorts values alone, faster
    n = sizes.shape[-1]
    weights = 2 * torch.arange(1, n + 1, dtype=torch.float64) - n - 1
    return (sizes @ weights) / (n * sizes.sum(-1))


def entropy(values: Tensor) -> Tensor:  # [..., n] -> [...]
    """Of sizes as shares of their sum, in nats: 0 one alone, ln n all alike. NaN where all are 0."""
    sizes = values.abs()
    of_each: Tensor = torch.special.entr(sizes / sizes.sum(-1, keepdim=True))
    return of_each.sum(-1)
