"""Rows of tokens handed down through layers of attention, from the top one to the first: rollout and relevance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nucleoscope.engine.attention.capture.run import Attention

MANY = 64  # rows, beyond which heads are averaged block by block before rows are multiplied

Seen = Callable[
    [Attention, Tensor, Tensor], None
]  # (layer, rows that enter it, what its heads give them)


@dataclass
class Rollout:
    """r <- alpha r + (1 - alpha) r P, layer by layer, P a mean over heads; rows keep what they sum to.

    `heads`: which are averaged; None all, "each" every one by itself through all layers. `norms` weighs each
    key by the length of what it hands on.
    """

    alpha: float = 0.5
    heads: tuple[int, ...] | str | None = None
    seen: Seen | None = None
    drift: float = 0.0  # the largest relative change of a row's sum

    def down(
        self, layers: Iterable[tuple[Attention, Tensor | None]], rows: Tensor
    ) -> Tensor:  # [M, L] -> [M, L], or [H, M, L] for each head
        """Fold (layer, norms [1, H, L] or None) from the top to the first."""
        r = rows
        for layer, norms in layers:
            whole = r.sum(-1)
            r = self.alpha * r + (1 - self.alpha) * self._moved(layer, norms, r)
            self.drift = max(self.drift, float(((r.sum(-1) - whole).abs() / whole.abs()).max()))
        return r

    def _moved(self, layer: Attention, norms: Tensor | None, r: Tensor) -> Tensor:
        few = r.shape[-2] <= MANY or self.heads == "each"
        each = self._each(layer, norms, r) if few else None  # [H, M, L]
        if self.seen is not None:
            some = r if r.shape[-2] <= MANY else r[..., sample(r.shape[-2]), :]
            plain = each if each is not None and norms is None and some is r else None
            self.seen(layer, some, self._each(layer, None, some) if plain is None else plain)
        if each is None:
            return self._averaged(layer, norms, r)
        return each if self.heads == "each" else each[self._chosen(layer)].mean(0)

    def _each(self, layer: Attention, norms: Tensor | None, r: Tensor) -> Tensor:
        given = r[None] if r.ndim == 3 else r.expand(1, layer.heads, *r.shape)
        if norms is None:
            return by_rows(layer.apply, given)[0]
        shares = layer.values(norms[..., None])  # [1, H, Lq, 1]
        return (by_rows(layer.apply, given / shares.mT) * norms[:, :, None])[0]

    def _averaged(self, layer: Attention, norms: Tensor | None, r: Tensor) -> Tensor:
        made = r.new_zeros(len(r), layer.tokens[1])
        for begin, end, mean in self._means(layer, norms):
            made.addmm_(r[:, begin:end], mean)
        return made

    def _means(self, layer: Attention, norms: Tensor | None) -> Iterator[tuple[int, int, Tensor]]:
        """(begin, end, mean over heads [end - begin, Lk]) of all queries."""
        chosen = self._chosen(layer)
        if norms is None:
            share = torch.zeros_like(layer.query[0, :, 0, 0])
            for head in chosen:  # one may be named twice
                share[head] += 1 / len(chosen)
            yield from layer.mean(share)
            return
        for begin, end, weights in weight_blocks(layer):
            weights = weights * norms[:, :, None]
            weights = weights / weights.sum(-1, keepdim=True)
            yield begin, end, weights[0][chosen].mean(0)

    def _chosen(self, layer: Attention) -> list[int]:
        return list(range(layer.heads) if self.heads is None else map(int, self.heads))


@dataclass
class Relevance:
    """r <- r + r A, layer by layer, A the mean over heads of the positive part of P times its gradient."""

    heads: tuple[int, ...] | None = None
    seen: Seen | None = None
    gained: list[float] = field(default_factory=list)  # by layer, the share that it added

    def down(
        self, layers: Iterable[tuple[Attention, Tensor]], rows: Tensor
    ) -> Tensor:  # [M, L] -> [M, L]
        """Fold (layer, gradient at what it gives [1, H, L, E]) from the top to the first."""
        r = rows
        for layer, grad in layers:
            chosen = list(range(layer.heads) if self.heads is None else self.heads)
            if len(r) > MANY:
                added = self._averaged(layer, grad, r, chosen)
            else:
                given = r.expand(1, layer.heads, *r.shape)
                added = layer.relevance(given, grad)[0][chosen].mean(0)
            self.gained.append(float(added.sum() / r.sum()))
            r = r + added
        return r

    @staticmethod
    def _averaged(layer: Attention, grad: Tensor, r: Tensor, chosen: list[int]) -> Tensor:
        made = r.new_zeros(len(r), layer.tokens[1])
        value = layer.value.repeat_interleave(layer.heads // layer.value.shape[1], 1)
        for begin, end, weights in weight_blocks(layer):
            positive = (grad[:, :, begin:end] @ value.mT).relu() * weights
            made.addmm_(r[:, begin:end], positive[0][chosen].mean(0))
        return made


def sample(count: int) -> Tensor:
    """MANY of so many rows, evenly."""
    return torch.linspace(0, count - 1, MANY).round().long()


def by_rows(apply: Callable[[Tensor], Tensor], r: Tensor) -> Tensor:
    """Rows [1, H, M, L] through an op that takes MANY at once."""
    return torch.cat([apply(part) for part in r.split(MANY, 2)], 2)


def weight_blocks(layer: Attention) -> Iterator[tuple[int, int, Tensor]]:
    """(begin, end, weights [1, H, end - begin, Lk]) of all queries; no more than a few megabytes at a time."""
    queries, keys = layer.tokens
    most = max((1 << 23) // (layer.heads * keys * layer.query.element_size()), 16)
    for begin in range(0, queries, most):
        end = min(begin + most, queries)
        yield begin, end, layer.weights(begin, end)
