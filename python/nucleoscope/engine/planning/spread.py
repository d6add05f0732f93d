"""How far the edits at many sites reach in every layer, and batches of them that share one shape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from nucleoscope.engine.graph import Graph, Rule
from nucleoscope.engine.planning.batches import Loose, Mixed, cut_batches, merge
from nucleoscope.engine.planning.near import clipped
from nucleoscope.engine.rows import Ints, Pieces, Rows

# Sites planned at one time: enough that the planning of a layer is one pass, few enough to be small.
STRETCH = 4096

# By how much windows of two far pieces differ with where their sites lie on the steps of strides and pools.
PHASES = 2


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
    near: dict[str, tuple[int, int]] | None = (
        None  # what is read of each layer, from an edit's first base
    )

    def rows(self, pieces: Pieces) -> dict[str, Rows]:
        """The rows every layer keeps for edits of these pieces.

        A layer that none of them reaches is absent. Raises Mixed where the sites do not share one
        window structure.
        """
        return next(self._cut(self.windows(pieces), len(pieces[0][0])))

    def chunks(self, pieces: Pieces, size: int) -> Iterator[Chunk]:
        """Batches of `size` sites, in the order given; fewer where their structures differ."""
        stretch, count = size * max(1, STRETCH // size), len(pieces[0][0])
        for first in range(0, count, stretch):
            yield from self._chunks(pieces, first, min(first + stretch, count), size)

    def _chunks(self, pieces: Pieces, first: int, last: int, size: int) -> Iterator[Chunk]:
        try:
            loose = self.windows([(lo[first:last], hi[first:last]) for lo, hi in pieces])
        except Mixed as mixed:  # cut where the sites stop, or begin, to be like the first
            changes = np.flatnonzero(np.diff(mixed.alike.astype(np.int8))) + 1 + first
            for low, high in pairwise([first, *changes.tolist(), last]):
                yield from self._chunks(pieces, low, high, size)
            return
        for at, rows in enumerate(self._cut(loose, size)):
            low = first + at * size
            yield Chunk(slice(low, min(low + size, last)), rows)

    def windows(self, pieces: Pieces) -> Loose:
        """Every layer's window for every site, as pieces (lo, hi), not clipped to anything."""
        loose: Loose = {self.graph.edited: pieces}
        slack = PHASES if len(pieces) > 1 else 0
        one = np.zeros_like(pieces[0][0])
        for name in self.order:
            if self._length(name) == 1:  # a plain vector: its one row, for every site
                loose[name] = [(one, one + 1)]
            else:
                loose[name] = merge(list(self._pieces(name, loose)), slack)
            if self.near is not None and name in self.near:
                edit = pieces[0][0], pieces[-1][1]
                loose[name] = clipped(loose[name], edit, self.near[name])
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
