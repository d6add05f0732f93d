"""How attention's logits are made of queries and keys, and the attention they give."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Scores:
    """What a layer does to the products of its queries and keys before the softmax.

    With i a query, j a key and j - i - first their distance d, the logit is in this order::

        s = scale * query[i] @ key[j]
        s = s + table[i, index[clamp(d, -N // 2, N // 2) + N // 2]] + bias[i // steps[0], j // steps[1]]
        s = softcap * tanh(s / softcap)
        s = s - slopes * |d|
        s = s if mask[i, j] and -behind <= d <= ahead else -inf

    and what is None is left out. Axes of B, H, Lq or Lk may be 1 in mask, bias and table: then that entry
    serves all. Tensors are where the queries are; bias, slopes and table have their dtype.
    """

    scale: float | None = None  # None: 1 / sqrt(D)
    first: int = 0  # which key the first query stands at
    behind: int | None = None  # keys before the query's own that it sees; None: all
    ahead: int | None = None  # keys after it; 0 is causal
    mask: Tensor | None = None  # [B, H, Lq, Lk] bool, True: is seen
    bias: Tensor | None = None  # [B, H, ceil(Lq / steps[0]), ceil(Lk / steps[1])]
    steps: tuple[int, int] = (1, 1)  # queries and keys that share an entry of bias
    softcap: float | None = None  # logits stay within it
    slopes: Tensor | None = None  # [H], ALiBi's
    table: Tensor | None = None  # [B, H, Lq, R], a logit for each kind of distance
    index: Tensor | None = None  # [N] int32, N odd: which of R a distance is; None: itself, N = R


def scale_of(scores: Scores, query: Tensor) -> float:
    """The factor of the products."""
    return float(query.shape[-1] ** -0.5) if scores.scale is None else scores.scale


def of_queries(scores: Scores, begin: int, end: int) -> Scores:
    """The same for the queries [begin, end) alone."""

    def cut(tensor: Tensor | None) -> Tensor | None:
        return tensor if tensor is None or tensor.shape[2] == 1 else tensor[:, :, begin:end]

    changed: dict[str, Any] = {name: cut(getattr(scores, name)) for name in ("mask", "table")}
    bias, (step, keys) = scores.bias, scores.steps
    if bias is not None and bias.shape[2] > 1:
        rows = torch.arange(begin, end, device=bias.device) // step
        changed |= {"bias": bias[:, :, rows], "steps": (1, keys)}
    return dataclasses.replace(scores, first=scores.first + begin, **changed)


def logits(query: Tensor, key: Tensor, scores: Scores) -> Tensor:
    """Every logit, [B, H, Lq, Lk]."""
    many, positions = query.shape[2], torch.arange(key.shape[2], device=query.device)
    asked = torch.arange(many, device=query.device)
    distance = positions - (asked[:, None] + scores.first)  # [Lq, Lk]
    made = scale_of(scores, query) * (query @ shared(key, query).mT)
    if scores.table is not None:
        made = made + _looked_up(scores.table, scores.index, distance)
    if scores.bias is not None:
        rows, columns = asked // scores.steps[0], positions // scores.steps[1]
        rows, columns = (
            at * (n > 1) for at, n in zip((rows, columns), scores.bias.shape[2:], strict=True)
        )
        made = made + scores.bias[:, :, rows[:, None], columns]
    if scores.softcap is not None:
        made = scores.softcap * torch.tanh(made / scores.softcap)
    if scores.slopes is not None:
        made = made - scores.slopes[:, None, None] * distance.abs()
    seen = torch.ones_like(distance, dtype=torch.bool)
    if scores.behind is not None:
        seen = seen & (distance >= -scores.behind)
    if scores.ahead is not None:
        seen = seen & (distance <= scores.ahead)
    if scores.mask is not None:
        seen = seen & scores.mask
    return torch.where(seen, made, -torch.inf)


def shared(key: Tensor, query: Tensor) -> Tensor:
    """Keys or values [B, G, L, D] as each head reads them, [B, H, L, D]: H / G neighbouring heads share one."""
    return key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)


def _looked_up(table: Tensor, index: Tensor | None, distance: Tensor) -> Tensor:
    """The table's entry at each distance, [B, H, Lq, Lk]."""
    half = (table.shape[3] if index is None else len(index)) // 2
    kind = distance.clamp(-half, half) + half
    kind = kind if index is None else index[kind].long()
    return table.expand(-1, -1, len(kind), -1).gather(3, kind.expand(*table.shape[:2], -1, -1))


def blocks(many: int, block: int | None) -> Iterator[tuple[int, int]]:
    """[begin, end) of the queries that are computed together; None: of all."""
    step = max(many if block is None else block, 1)
    return ((begin, min(begin + step, many)) for begin in range(0, many, step))


def attention(
    op: str, query: Tensor, key: Tensor, r: Tensor, scores: Scores, begin: int, end: int
) -> Tensor:
    """Attention of the queries [begin, end), [B, H, end - begin, Lk]; zero where r has no weight in any row.

    Raises:
        ValueError: a query with a weight sees no key, or its logits are not finite.
    """
    made = logits(query[:, :, begin:end], key, of_queries(scores, begin, end))
    asked = (r[..., begin:end] != 0).any(2)
    refuse_rows(op, torch.where(asked, made.logsumexp(-1), 0.0), begin)
    return torch.where(asked[..., None], made.softmax(-1), 0.0)


def refuse_rows(op: str, lse: Tensor, begin: int = 0) -> None:
    """Refuse queries without attention, by the log-sum-exp [B, H, Lq] of their logits.

    Raises:
        ValueError: a query sees no key, or its logits are not finite.
    """
    if lse.device.type == "meta" or lse.isfinite().all():
        return
    b, h, i = (~lse.isfinite()).nonzero()[0].tolist()
    where = f"{op}: query {begin + i} of head {h} (sequence {b})"
    if lse[b, h, i] == -torch.inf:
        raise ValueError(
            f"{where} sees no key: every logit of it is -inf, by mask, bias, behind or ahead, or for an infinity "
            "in query or key. A softmax of nothing is not defined: leave such queries out, or let them see a key"
        )
    raise ValueError(
        f"{where} has logits that are not finite: query, key, bias or table hold a NaN or an infinity, or "
        "their products are beyond the range of their dtype"
    )
