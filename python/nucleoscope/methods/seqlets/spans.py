"""Spans of high scores: how likely each is by chance, and which of them are called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Chance:
    """The chance that k scores, drawn independently from those given, are together this high."""

    low: float
    width: float  # of a bin
    at_least: tuple[
        Floats, ...
    ]  # [k][i]: the chance that k bins sum to i or more; to the longest k
    bins: int

    @classmethod
    def of(cls, scores: Floats, longest: int, bins: int) -> Chance | None:
        """From all scores [N, L]; None where they are all equal, so that no span stands out."""
        low, high = float(scores.min()), float(scores.max())
        if low == high:
            return None
        chance = cls(low, (high - low) / (bins - 1), (), bins)
        once = np.bincount(chance.binned(scores).ravel(), minlength=bins) / scores.size
        sums = np.ones(1)
        at_least = [np.ones(1)]
        for _ in range(longest):
            # Directly, not by FFT, whose rounding would bury every chance below 1e-16.
            sums = np.convolve(sums, once)
            at_least.append(sums[::-1].cumsum()[::-1])
        return cls(chance.low, chance.width, tuple(at_least), bins)

    def binned(self, scores: Floats) -> Ints:
        """The bin of each score; those outside the range take the outermost."""
        bins = np.floor((scores - self.low) / self.width)
        return np.clip(bins, 0, self.bins - 1).astype(np.int64)


@dataclass(frozen=True)
class Spans:
    """Spans of one length whose inner spans are all unlikely: a column each, sorted by start."""

    start: Ints
    p: Floats
    worst: Floats  # the largest p of all spans inside, itself included
    order: Floats  # the largest p of the spans inside that begin where it begins


@dataclass(frozen=True)
class Candidates:
    """Spans of every length, of rows laid end to end with one position between them."""

    by_length: dict[int, Spans]
    size: int
    apart: int  # from the start of a row to the start of the next

    def below(self, threshold: float) -> Candidates:
        """Those that qualify at a lower threshold too."""
        kept = {}
        for k, spans in self.by_length.items():
            good = spans.worst < threshold
            if not good.any():
                break  # nor does anything longer
            kept[k] = Spans(spans.start[good], spans.p[good], spans.worst[good], spans.order[good])
        return replace(self, by_length=kept)


def candidates(scores: Floats, chance: Chance, shortest: int, below: float) -> Candidates:
    """The spans of `scores` [N, L] that qualify at a threshold of `below`, or at any lower one.

    A span of k positions can do so only where both spans of k - 1 inside it do, so each length is
    made from the one before. The position between two rows begins no span and ends all.
    """
    rows, length = scores.shape
    apart = length + 1
    binned = np.zeros((rows, apart), np.int64)
    binned[:, :length] = chance.binned(scores)
    total = np.concatenate([[0], binned.ravel().cumsum()])
    by_length: dict[int, Spans] = {}
    start = (np.arange(rows)[:, None] * apart + np.arange(max(length - shortest + 1, 0))).ravel()
    worst = order = np.zeros(len(start))
    for k in range(shortest, len(chance.at_least)):
        if k > shortest:
            beside = np.flatnonzero(start[1:] == start[:-1] + 1)
            worst = np.maximum(worst[beside], worst[beside + 1])
            start, order = start[beside], order[beside]
        p = chance.at_least[k][total[start + k] - total[start]]
        worst, order = np.maximum(worst, p), np.maximum(order, p)
        good = worst < below
        start, worst, order = start[good], worst[good], order[good]
        if not len(start):
            break
        by_length[k] = Spans(start, p[good], worst, order)
    return Candidates(by_length, rows * apart, apart)


def called(found: Candidates) -> Iterator[tuple[int, Spans, Ints]]:
    """(length, spans, which of them are called), the longest first.

    Of spans of one length those with the least chance go first. None overlaps one called before.
    """
    taken = np.zeros(found.size, bool)
    for k in sorted(found.by_length, reverse=True):
        spans = found.by_length[k]
        # What is taken comes in pieces of k or more, so it reaches an end of what it overlaps.
        free = np.flatnonzero(~(taken[spans.start] | taken[spans.start + k - 1]))
        chosen = []
        for each in free[np.lexsort((spans.start[free], spans.order[free]))]:
            first = spans.start[each]
            if not (taken[first] or taken[first + k - 1]):
                taken[first : first + k] = True
                chosen.append(each)
        if chosen:
            yield k, spans, np.array(chosen)


def counts(found: Candidates, thresholds: Floats) -> Ints:
    """How many spans are called at each of some falling thresholds."""
    result = np.zeros(len(thresholds), np.int64)
    for at, threshold in enumerate(thresholds):
        found = found.below(threshold)
        result[at] = sum(len(chosen) for *_, chosen in called(found))
    return result
