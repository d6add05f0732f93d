"""What stands in the place of bases that are taken away: draws from a background, over which is averaged."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nucleoscope import dinucleotide_shuffle
from nucleoscope.evaluate.case import Case

KINDS = ("dinucleotide", "random", "uniform", "zeros")
HELD = 1 << 24  # numbers of edited sequences that are held at a time


@dataclass(frozen=True)
class Background:
    """Sequences whose letters replace those that are taken away.

    kind: "dinucleotide" (shuffles of the sequence itself), "random" (letters, each as likely), "uniform" (a column
    of equal parts: nothing to draw, but no sequence either), "zeros" (N). draws: how many are averaged over.

    Raises ValueError for other kinds, or fewer draws than one.
    """

    kind: str = "dinucleotide"
    draws: int = 8

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind={self.kind!r}: use one of {', '.join(map(repr, KINDS))}")
        if self.draws < 1:
            raise ValueError(f"draws={self.draws}: 1 or more")

    def of(self, case: Case) -> Tensor:  # [N, K, 4, L]
        """Draws for every sequence, which follow from its letters and the case's seed, not from its place."""
        X = case.data.X
        if self.kind in ("uniform", "zeros"):
            column = as_numbers(X).new_full(
                (1, 1, *X.shape[1:]), 0.25 if self.kind == "uniform" else 0.0
            )
            return column.expand(len(X), -1, -1, -1)
        if self.kind == "dinucleotide":
            # Explainers draw their baselines from the seed itself. Judged by the same shuffles, they would be
            # right about these alone, and look better than they are about all others.
            return dinucleotide_shuffle(X, self.draws, case.seed * 1_000_003 + 1)
        letters = torch.randint(4, (self.draws, X.shape[2]), generator=case.draws(1))
        drawn = F.one_hot(letters, 4).transpose(1, 2).to(X)
        return drawn.expand(len(X), -1, -1, -1)


def as_numbers(X: Tensor) -> Tensor:
    """Floating point, as products with masks need, without a gradient, as writing into room needs."""
    X = X.detach()
    return X if X.is_floating_point() else X.float()


def replaced(
    X: Tensor, drawn: Tensor, taken: Tensor, room: Tensor | None = None
) -> Tensor:  # [..., 4, L], [..., 4, L], bool [..., L]
    """X with the columns of `drawn` where positions are taken; in `room` where that is given, of the same shape.

    Products and not `torch.where`, which takes five times as long where a mask is spread over letters; with 0
    and 1 they are exact.
    """
    X = as_numbers(X)
    gone = taken[..., None, :].to(X.dtype)
    shape = torch.broadcast_shapes(X.shape, drawn.shape, gone.shape)
    return torch.mul(X.expand(shape), 1 - gone, out=room).addcmul_(drawn.detach().to(X.dtype), gone)


def without(case: Case, taken: Tensor, background: Background) -> Tensor:  # [N, M, L] -> [N, M]
    """The model's mean answer when positions are replaced by the background, M sets of them a sequence.

    taken: bool, ``[N, M, L]``, or ``[M, L]`` for the same sets of all sequences.
    """
    X, drawn = as_numbers(case.data.X), background.of(case)
    sets = taken.expand(len(X), *taken.shape[-2:])
    draws, many = drawn.shape[1], sets.shape[1]
    # what one call of the model takes is edited at a time, and is still in the cache when the model reads it
    at_once = max(1, min(case.batch_size, HELD // X[0].numel()) // draws)  # sets
    rows = min(at_once, len(X))
    columns = min(many, max(1, at_once // rows))
    blank = not bool(drawn.any())  # N, which adds nothing
    room = X.new_empty(rows, columns, draws, *X.shape[1:])
    made = torch.empty(sets.shape[:2], dtype=torch.float64)
    for n in range(0, len(X), rows):
        for m in range(0, many, columns):
            here = (slice(n, n + rows), slice(m, m + columns))
            some = sets[here][:, :, None]
            place = room[: len(some), : some.shape[1]]
            if blank:
                stays = (~some[..., None, :]).to(X.dtype)
                edited = torch.mul(X[here[0], None, None].expand_as(place), stays, out=place)
            else:
                edited = replaced(X[here[0], None, None], drawn[here[0], None], some, place)
            made[here] = case.ask(edited.flatten(0, 2)).view(*edited.shape[:3]).mean(2)
    return made


def blocks(drawn: Tensor) -> list[slice]:  # [N, K, 4, L]
    """Rows of few enough sequences that no more than `HELD` numbers of them are edited at a time."""
    rows = max(1, HELD // drawn[0].numel())
    return [slice(first, first + rows) for first in range(0, len(drawn), rows)]


class Walk:
    """Sequences whose positions go over into others, in an order; a step edits what is new in it alone.

    It holds as much as is given: give `blocks` of sequences. start, end: ``[N, K, 4, L]``, K of each sequence,
    over which answers are averaged. order: ``[N, L]``, which position is next.
    """

    def __init__(self, case: Case, start: Tensor, end: Tensor, order: Tensor) -> None:
        end = as_numbers(end)
        self._case, self._end, self._order = case, end, order.to(end.device)
        now = start.to(end.dtype).expand(len(end), end.shape[1], -1, -1)
        self._now = now.clone(memory_format=torch.contiguous_format)
        self._gone = 0

    def to(self, count: int) -> Tensor:
        """The answers when `count` positions are over, which are no fewer than before, [N]."""
        at = self._order[:, None, None, self._gone : count].expand(*self._now.shape[:3], -1)
        self._now.scatter_(3, at, self._end.expand_as(self._now).gather(3, at))
        self._gone = count
        return self._case.ask(self._now.flatten(0, 1)).view(self._now.shape[:2]).mean(1)

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the sequences alone, bool [N]."""
        there = rows.to(self._now.device)
        self._now, self._end, self._order = self._now[there], self._end[there], self._order[there]


def as_asked(case: Case, drawn: Tensor) -> Tensor:  # [N, K, 4, L] -> [N, K]
    """The answer for each that is drawn. Draws that all sequences share, by `expand`, are asked about once."""
    some = drawn[:1] if drawn.stride(0) == 0 else drawn
    return case.ask(some.flatten(0, 1)).view(some.shape[:2]).expand(drawn.shape[:2])
