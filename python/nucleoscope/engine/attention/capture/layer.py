"""One layer of attention, as it was in a forward: its queries, keys and values, and what makes its logits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from nucleoscope import ops
from nucleoscope.naive.ops._scores import Scores, logits, of_queries, scale_of, shared
from nucleoscope.ops import Statistics

HELD = 1 << 26  # bytes of logits that are held at once where an op needs them in plain torch
MEAN = 1 << 25  # bytes of weights of the mean head that are made at once
KINDS = 256  # of distances, up to which the table of all queries is kept whole


@dataclass(frozen=True, eq=False)
class Relative:
    """Logits of distances: queries of their own times one row for each kind of distance."""

    query: Tensor  # [1, H, Lq, D]
    rows: Tensor  # [1, H or 1, R, D]
    index: Tensor  # [2 L - 1], the kind of each distance


@dataclass(frozen=True, eq=False)
class Layer:
    """Softmax attention. Tensors are [1, heads, tokens, channels]."""

    name: str  # the module, as the model names it
    line: str  # of the user's code
    query: Tensor  # [1, H, Lq, D]
    key: Tensor  # [1, G, Lk, D]
    value: Tensor  # [1, G, Lk, E]
    scores: Scores  # without what is relative
    relative: Relative | None = None

    @property
    def heads(self) -> int:
        """How many."""
        return self.query.shape[1]

    @property
    def tokens(self) -> tuple[int, int]:
        """(queries, keys)."""
        return self.query.shape[2], self.key.shape[2]

    @property
    def described(self) -> Scores:
        """What makes the logits, the table of relative ones included."""
        if self.relative is None:
            return self.scores
        table = self.relative.query @ self.relative.rows.mT
        return dataclasses.replace(self.scores, table=table, index=self.relative.index)

    def cut(self, begin: int, end: int) -> Layer:
        """The same for the queries [begin, end) alone."""
        relative = self.relative
        if relative is not None:
            relative = dataclasses.replace(relative, query=relative.query[:, :, begin:end])
        scores = of_queries(self.scores, begin, end)
        return dataclasses.replace(
            self, query=self.query[:, :, begin:end], scores=scores, relative=relative
        )

    def blocks(self, most: int | None = None) -> Iterator[tuple[int, int, Layer]]:
        """(begin, end, layer) of the queries that are taken at once; by default all that one table allows."""
        queries = self.tokens[0]
        if most is None:
            wide = self.relative is not None and self.relative.rows.shape[2] > KINDS
            most = self.held(self.relative.rows.shape[2]) if wide else queries  # type: ignore[union-attr]
        for begin in range(0, queries, most):
            yield begin, min(begin + most, queries), self.cut(begin, min(begin + most, queries))

    def held(self, width: int) -> int:
        """Queries whose numbers, `width` for each head, fit into what is held at once."""
        return max(HELD // (self.heads * width * self.query.element_size()), 16)

    def apply(self, r: Tensor) -> Tensor:  # [1, H, M, Lq] -> [1, H, M, Lk]
        """r P, head by head."""
        parts = [
            ops.attention_apply(part.query, part.key, r[..., b:e].contiguous(), part.described)
            for b, e, part in self.blocks()
        ]
        return parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)

    def relevance(self, r: Tensor, grad: Tensor) -> Tensor:  # [1, H, M, Lq], [1, H, Lq, E]
        """r (P * max(grad value^T, 0)), head by head: [1, H, M, Lk]."""
        parts = [
            ops.attention_relevance(
                part.query, part.key, part.value, grad[:, :, b:e].contiguous(), r[..., b:e].contiguous(),
                part.described,
            )
            for b, e, part in self.blocks()
        ]  # fmt: skip
        return parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)

    def mean(self, share: Tensor) -> Iterator[tuple[int, int, Tensor]]:  # [H] -> [Lq, Lk]
        """Attention summed over heads with what each counts, as (begin, end, weights [end - begin, Lk])."""
        wide = self.tokens[1]
        if self.relative is not None:
            wide = max(wide, self.heads * self.relative.rows.shape[2])
        most = max(MEAN // (wide * self.query.element_size()), 64)
        for begin, end, part in self.blocks(most):
            made = ops.attention_mean(part.query, part.key, share, part.described)
            yield begin, end, made[0]

    def statistics(self) -> Statistics:
        """Entropy, peak and others a query, and what each key gets."""
        parts = [
            ops.attention_statistics(part.query, part.key, part.described)
            for _, _, part in self.blocks()
        ]
        rows = [torch.cat(each, 2) for each in list(zip(*parts, strict=True))[:-1]]
        columns = torch.stack([part.columns for part in parts]).sum(0)
        return Statistics._make([*rows, columns])

    def weights(self, begin: int, end: int) -> Tensor:
        """Attention of the queries [begin, end), [1, H, end - begin, Lk]."""
        part = self.cut(begin, end)
        if self._plain and self.scores.mask is None and self.scores.ahead is None:
            scaled = part.query * scale_of(self.scores, self.query)
            return (scaled @ shared(self.key, self.query).mT).softmax(-1)
        return logits(part.query, part.key, part.described).softmax(-1)

    def values(self, x: Tensor | None = None) -> Tensor:  # [1, H or G, Lk, M] -> [1, H, Lq, M]
        """P x, head by head; of the layer's own values, which is what attention gives, without x.

        Differentiable, and without the matrix: plain attention is torch's own, other goes by queries that
        are computed again when the gradient comes by.
        """
        given = shared(self.value if x is None else x, self.query)
        causal = self.scores.ahead == 0 and self.scores.first == 0
        if self._plain and not (causal and self.scores.mask is not None):
            return F.scaled_dot_product_attention(
                self.query, shared(self.key, self.query), given, attn_mask=self.scores.mask,
                scale=scale_of(self.scores, self.query), is_causal=causal,
            )  # fmt: skip
        parts = [
            checkpoint(part._attend, given, use_reentrant=False)
            for _, _, part in self.blocks(self.held(self.tokens[1]))
        ]
        return torch.cat(parts, 2)

    def _attend(self, x: Tensor) -> Tensor:
        return logits(self.query, self.key, self.described).softmax(-1) @ x

    @property
    def _plain(self) -> bool:
        """Whether torch's own attention has all that makes the logits."""
        s = self.scores
        more = (s.bias, s.softcap, s.slopes, s.table, s.behind, self.relative)
        return all(each is None for each in more) and s.ahead in (None, 0)

    def detached(self) -> Layer:
        """The same out of any graph of gradients, in float32 at least."""
        made: Layer = _each_tensor(self, _kept)
        return made


def _kept(tensor: Tensor) -> Tensor:
    held = tensor.detach()
    half = held.dtype in (torch.float16, torch.bfloat16)
    return (held.float() if half else held).contiguous()


def _each_tensor(held: Any, do: Callable[[Tensor], Tensor]) -> Any:
    """A frozen description with each of its tensors, however deep, as `do` makes it."""
    made = {}
    for each in dataclasses.fields(held):
        part = getattr(held, each.name)
        if isinstance(part, Tensor):
            made[each.name] = do(part)
        elif dataclasses.is_dataclass(part):
            made[each.name] = _each_tensor(part, do)
    return dataclasses.replace(held, **made)
