"""Where two edits of a sequence meet, layer by layer: integers only.

What a pair does beyond its two edits alone is zero wherever only one of them reaches. It begins where a step
that is not linear sees both, and spreads from there: a linear step sees nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nucleoscope.engine.graph import Rule
from nucleoscope.engine.planning.batch_size import CACHE, WORK
from nucleoscope.engine.planning.plan import Plan
from nucleoscope.engine.rows import Ints, Rows
from nucleoscope.engine.windows import SAME

# Bytes of what is added to the layers of a batch of pairs.
HELD = 4 * CACHE

# Pairs of sites from which it is judged how many make a batch.
SAMPLE = 33

Spans = tuple[
    Ints, Ints
]  # an interval of each of K pairs: [K], [K]; empty where the second is no larger


@dataclass(frozen=True)
class Batch:
    """The rows of some pairs of sites, in each layer as many as the widest of them needs."""

    more: dict[str, Rows]  # where a pair does more than its two edits alone
    both: dict[str, Rows]  # where a step that is not linear reads, or makes, the change by both


class Meeting:
    """The windows of K pairs of sites, of which each window is one piece."""

    def __init__(self, plan: Plan, windows: dict[str, Spans], first: Ints, second: Ints) -> None:
        self.plan, self.windows, self.sites = plan, windows, (first, second)
        self._each = {
            name: ((lo[first], hi[first]), (lo[second], hi[second]))
            for name, (lo, hi) in windows.items()
        }
        self.more: dict[str, Spans] = {}
        for name in plan.order:
            if name in windows:
                self.more[name] = self._cut(name, self._beyond(name))

    def batch(self, part: slice) -> Batch:
        """The rows of neighbouring pairs."""
        more = {name: self._rows(name, spans, part) for name, spans in self.more.items()}
        more = {name: rows for name, rows in more.items() if rows.width > 0}
        both: dict[str, Rows] = {}
        for name in reversed(self.plan.order):
            rule = self.plan.rule(name)
            rows = [held[name] for held in (more, both) if name in held]
            if not (rule.reads and rows):
                continue
            both[name] = _hull(rows)
            for source, read in self._read(rule, both[name], part):
                both[source] = _hull([both[source], read]) if source in both else read
        return Batch(more, both)

    def batches(self, many: int) -> list[int]:
        """Where batches of neighbouring pairs begin, and the last one ends; `many` edits at each pair of sites."""
        count, some = len(self), self.sample()
        shares = [self._share(slice(at, at + 1), many) for at in some]
        done = np.cumsum(np.interp(np.arange(count), some, shares))
        return [0, *(np.flatnonzero(np.diff(np.floor(done))) + 1).tolist(), count]

    def __len__(self) -> int:
        return len(self.sites[0])

    def sample(self) -> Ints:
        """Some of the pairs, from the first to the last."""
        count = len(self)
        return np.unique(np.linspace(0, count - 1, min(count, SAMPLE)).astype(np.int64))

    def work(self, part: slice) -> int:
        """Multiply-adds of one pair of edits, with the rows of these pairs."""
        batch, total = self.batch(part), 0
        for name in batch.more:
            rule = self.plan.rule(name)
            given = [batch.more[s].width for s in rule.inputs if s in batch.more]
            if given and not rule.reads:
                total += rule.work(max(given), batch.more[name].width)
        return total

    def _share(self, part: slice, many: int) -> float:
        """What a pair of sites is of a full batch."""
        both = self.batch(part).both
        numbers = sum(rows.width * self.plan.axes(name).channels for name, rows in both.items())
        held = numbers * self.plan.bytes_per_number
        return many * max(self.work(part) / WORK, held / HELD)

    def _beyond(self, name: str) -> Spans:
        """Where a layer can change by more than the sum of two edits."""
        rule = self.plan.rule(name)
        if rule.reads:
            (lo, hi), (low, high) = self._each[name]
            return np.maximum(lo, low), np.minimum(hi, high)
        nothing = np.zeros_like(self._each[name][0][0])
        made = (nothing, nothing)
        for index, source in enumerate(rule.inputs):
            if source in self.more:
                made = _union(made, self._spread(rule, index, self.more[source]))
        return made

    def _spread(self, rule: Rule, index: int, given: Spans) -> Spans:
        lo, hi = given
        if rule.axes.length == 1:
            return np.zeros_like(lo), (lo < hi).astype(np.int64)
        low, high = rule.reach(index).spread(lo, hi)
        return low, np.where(lo < hi, high, low)

    def _cut(self, name: str, spans: Spans) -> Spans:
        """What of it is read, and lies in the layer."""
        (low, high), length = self.plan.cones[name], self._length(name)
        return np.maximum(spans[0], max(low, 0)), np.minimum(spans[1], min(high, length))

    def _rows(self, name: str, spans: Spans, part: slice) -> Rows:
        lo, hi = spans[0][part], spans[1][part]
        return Rows((lo,), (int((hi - lo).max()),), self._length(name))

    def _read(self, rule: Rule, made: Rows, part: slice) -> Iterator[tuple[str, Rows]]:
        """Where a step looks for these rows at what goes into it."""
        lo, hi = made.starts[0], made.starts[0] + made.width
        for index, source in enumerate(rule.inputs):
            reach = rule.reach(index)
            if reach is SAME or reach == SAME:
                yield source, made
                continue
            low, high = reach.cone(lo, hi)
            (a, b), (c, d) = ((lo[part], hi[part]) for lo, hi in self._each[source])
            low, high = np.maximum(low, np.minimum(a, c)), np.minimum(high, np.maximum(b, d))
            yield source, Rows((low,), (max(0, int((high - low).max())),), self._length(source))

    def _length(self, name: str) -> int:
        return self.plan.axes(name).length


def _union(one: Spans, other: Spans) -> Spans:
    """The hulls of both; an empty one counts for nothing."""
    (lo, hi), (low, high) = one, other
    mine, theirs = lo < hi, low < high
    both = mine & theirs
    begin = np.where(both, np.minimum(lo, low), np.where(mine, lo, low))
    end = np.where(both, np.maximum(hi, high), np.where(mine, hi, high))
    return begin, end


def _hull(every: list[Rows]) -> Rows:
    """Rows that hold all of these."""
    lo = np.minimum.reduce([rows.starts[0] for rows in every])
    hi = np.maximum.reduce([rows.starts[0] + rows.width for rows in every])
    return Rows((lo,), (int((hi - lo).max()),), every[0].length)
