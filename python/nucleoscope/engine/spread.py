"""How far the edits at many sites reach in every layer, and batches of them that share one shape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from nucleoscope.engine.batches import Loose, Mixed, cut_batches, merge
from nucleoscope.engine.graph import Graph, Rule
from nucleoscope.engine.rows import Ints, Rows

# Sites planned at one time: enough that the planning of a layer is one pass, few enough to be small.
STRETCH = 4096


@dataclass(frozen=True)
class Chunk:
    """A batch of edits: which of the request's sites, and the rows each layer keeps for them."""

    sites: slice  # into the plan's ordered sites
    rows: dict[str, Rows]

    def __len__(self) -> int:
        return int(self.sites.stop - self.sites.start)

    def halves(self) -> tuple[Chunk, Chunk]:
        """Its first and its last sites, with the windows of the whole."""
        middle = len(self) // 2
        first, last = (
            {name: rows.part(part) for name, rows in self.rows.items()}
            for part in (slice(middle), slice(middle, None))
        )
        at = self.sites.start + middle
        return Chunk(slice(self.sites.start, at), first), Chunk(slice(at, self.sites.stop), last)


@dataclass(frozen=True)
class Spread:
    """Windows of a graph's layers, cut to the cones that are read."""

    graph: Graph
    order: list[str]  # rippling nodes with a rule, as they are computed
    cones: dict[str, tuple[int, int]]

    def rows(self, sites: Ints, wide: int = 1) -> dict[str, Rows]:
        """The rows every layer keeps for edits `wide` positions wide that begin at these sites.

        A layer that none of them reaches is absent. Raises Mixed where the sites do not share one
        window structure.
        """
        return next(self._cut(self._windows(sites, wide), len(sites)))

    def chunks(self, site: Ints, size: int) -> Iterator[Chunk]:
        """Batches of `size` sites, in the order given; fewer where their structures differ."""
        stretch = size * max(1, STRETCH // size)
        for first in range(0, len(site), stretch):
            yield from self._chunks(site, first, min(first + stretch, len(site)), size)

    def _chunks(self, site: Ints, first: int, last: int, size: int) -> Iterator[Chunk]:
        try:
            loose = self._windows(site[first:last])
        except Mixed as mixed:  # cut where the sites stop, or begin, to be like the first
            changes = np.flatnonzero(np.diff(mixed.alike.astype(np.int8))) + 1 + first
            for low, high in pairwise([first, *changes.tolist(), last]):
                yield from self._chunks(site, low, high, size)
            return
        for at, rows in enumerate(self._cut(loose, size)):
            low = first + at * size
            yield Chunk(slice(low, min(low + size, last)), rows)

    def _windows(self, sites: Ints, wide: int = 1) -> Loose:
        """Every layer's window for every site, as pieces (lo, hi), not clipped to anything."""
        loose: Loose = {self.graph.edited: [(sites, sites + wide)]}
        for name in self.order:
            if self._length(name) == 1:  # a plain vector: its one row, for every site
                loose[name] = [(np.zeros_like(sites), np.ones_like(sites))]
            else:
                loose[name] = merge(list(self._pieces(name, loose)))
        return loose

    def _pieces(self, name: str, loose: Loose) -> Iterator[tuple[Ints, Ints]]:
        rule: Rule | None = self.graph.nodes[name].rule
        assert rule is not None
        for index, source in enumerate(rule.inputs):
            for lo, hi in loose[source]:
                for tooth in rule.reach(index).teeth(int((hi - lo).max())):
                    yield tooth.spread(lo, hi)

    def _cut(self, loose: Loose, size: int) -> Iterator[dict[str, Rows]]:
        limits = {name: (self.cones[name], self._length(name)) for name in loose}
        return cut_batches(loose, limits, size)

    def _length(self, name: str) -> int:
        axes = self.graph.nodes[name].axes
        assert axes is not None
        return axes.length
