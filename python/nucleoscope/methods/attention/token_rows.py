"""Tokens and bases: which bases each token is of, and rows of tokens as what a user asks about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

WHOLE = 4096  # tokens up to which every one is a row where none is named

Spans = int | Tensor | Sequence[tuple[int, int]]


@dataclass(frozen=True)
class TokenMap:
    """The bases [start, end) of each token; empty where it is of none, as special tokens are."""

    spans: Tensor  # [T, 2] int64
    length: int  # of the sequence, in bases

    def to_bases(self, scores: Tensor) -> Tensor:  # [.., T] -> [.., length]
        """Each token's score spread evenly over its bases; what lies on no base is lost, and no more."""
        starts, ends = self.spans.T
        width = ends - starts
        share = torch.where(width > 0, scores / width.clamp(min=1), 0.0)
        steps = scores.new_zeros(*scores.shape[:-1], self.length + 1, dtype=torch.float64)
        steps.index_add_(-1, starts, share.double())
        steps.index_add_(-1, ends, -share.double())
        return steps.cumsum(-1)[..., :-1].to(scores)

    def weights(self, start: int, end: int) -> Tensor:  # [T]
        """The share of the bases [start, end) that each token is of, overlapping ones alike; sums to 1."""
        overlap = (self.spans.clamp(start, end) * torch.tensor([-1, 1])).sum(1).double()
        return overlap / overlap.sum()


def read_tokens(tokens: Spans | None, count: int, length: int | None) -> TokenMap | None:
    """The map of `count` tokens: bases a token, or [start, end) of each; None where nothing tells.

    Without `tokens`, a sequence that divides evenly lies on them in even parts. Raises ValueError for a
    map that leaves bases out or lies beyond the sequence.
    """
    if tokens is None:
        if length is None or length % count:
            return None
        tokens = length // count
    if isinstance(tokens, Integral) and not isinstance(tokens, bool):
        if int(tokens) < 1:
            raise ValueError(f"tokens={tokens}: bases of each token, 1 or more")
        starts = torch.arange(count) * int(tokens)
        spans = torch.stack([starts, starts + int(tokens)], 1)
    else:
        spans = torch.as_tensor(tokens).cpu()
    if spans.shape != (count, 2) or spans.is_floating_point():
        raise ValueError(
            f"tokens: shape {tuple(spans.shape)}, must be whole numbers [{count}, 2]: the first base of each "
            "token and the one behind its last, as the model has them (special tokens 0, 0)"
        )
    whole = int(spans.max()) if length is None else length
    spans = spans.long()
    bad = (spans[:, 0] < 0) | (spans[:, 1] < spans[:, 0]) | (spans[:, 1] > whole)
    if bool(bad.any()):
        at = int(bad.nonzero()[0])
        raise ValueError(
            f"tokens: token {at} is of the bases [{int(spans[at, 0])}, {int(spans[at, 1])}), which do not lie in "
            f"a sequence of {whole}"
        )
    covered = torch.zeros(whole + 1, dtype=torch.int64)
    covered.index_add_(0, spans[:, 0], torch.ones(count, dtype=torch.int64))
    covered.index_add_(0, spans[:, 1], -torch.ones(count, dtype=torch.int64))
    bare = (covered.cumsum(0)[:-1] < 1).nonzero()
    if len(bare):
        raise ValueError(
            f"tokens: base {int(bare[0])} is of no token ({len(bare)} of {whole} are not): a map must cover the "
            "sequence. Cut X to what the model reads, or correct the map."
        )
    return TokenMap(spans, whole)


def read_rows(rows: Any, count: int, places: TokenMap | None) -> Tensor:  # [M, T] float64
    """Rows of weights over tokens. Raises TypeError, ValueError or IndexError that says what may be given."""
    if rows is None:
        if count > WHOLE:
            raise ValueError(
                f"rows=None: every one of {count:,} tokens would be a row; name those you ask about"
            )
        return torch.eye(count, dtype=torch.float64)
    if isinstance(rows, Tensor) and rows.ndim == 2 and rows.is_floating_point():
        return _weights(rows, count)
    if isinstance(rows, slice):
        rows = list(range(*rows.indices(count)))
    listed = rows.tolist() if isinstance(rows, Tensor) else rows
    if isinstance(listed, Integral) and not isinstance(listed, bool):
        listed = [listed]
    if not isinstance(listed, list | tuple | range):
        raise TypeError(
            f"rows={rows!r}: give tokens (a number, a list, a slice), stretches of bases as (start, end) pairs, "
            "or weights as a tensor [rows, tokens]"
        )
    if len(listed) == 0:
        raise ValueError("rows: no row is named; give one or more tokens, stretches or weights")
    return torch.stack([_row(each, count, places) for each in listed])


def _row(each: Any, count: int, places: TokenMap | None) -> Tensor:
    if isinstance(each, tuple | list) and len(each) == 2:
        if places is None:
            raise ValueError(
                f"rows: {tuple(each)} are bases, and which tokens they are of is not known: pass tokens="
            )
        start, end = int(each[0]), int(each[1])
        if not 0 <= start < end <= places.length:
            raise IndexError(f"rows: [{start}, {end}) is no stretch of {places.length} bases")
        return places.weights(start, end)
    if not isinstance(each, Integral) or isinstance(each, bool):
        raise TypeError(f"rows: {each!r} is neither a token nor a (start, end) of bases")
    if not -count <= int(each) < count:
        raise IndexError(f"rows: there is no token {int(each)}; there are {count}, from 0")
    made = torch.zeros(count, dtype=torch.float64)
    made[int(each)] = 1.0
    return made


def _weights(rows: Tensor, count: int) -> Tensor:
    held = rows.detach().cpu().double()
    if held.shape[1] != count or len(held) == 0:
        raise ValueError(
            f"rows: weights of shape {tuple(rows.shape)}; must be [rows, {count}], one or more rows of a weight "
            "for each token"
        )
    if not bool(torch.isfinite(held).all()) or bool((held.sum(1) == 0).any()):
        raise ValueError("rows: weights must be finite, and no row may sum to 0")
    return held
