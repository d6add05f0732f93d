"""Graph + request + budget -> Plan: windows, cones, batches, the seam, and what it all costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from math import prod
from typing import Any, TypeVar

import numpy as np
import torch

from nucleoscope.engine.answers.target import Target
from nucleoscope.engine.graph import Axes, Graph, Rule, batch_dim
from nucleoscope.engine.planning.batch_size import Load, sites_per_batch
from nucleoscope.engine.planning.context import Context, context
from nucleoscope.engine.planning.load import site_load, window_work
from nucleoscope.engine.planning.looked_at import looked_at, partial_of
from nucleoscope.engine.planning.near import Near
from nucleoscope.engine.planning.report import report
from nucleoscope.engine.planning.spread import Chunk, Spread
from nucleoscope.engine.planning.thin import Kept, Thinned, thin
from nucleoscope.engine.rows import Ints, Pieces, Rows
from nucleoscope.engine.values.cuts import Cut
from nucleoscope.engine.values.forward import forward_work
from nucleoscope.engine.values.partial import Partial
from nucleoscope.engine.windows import Lattice, clip, hull, whole

Found = TypeVar("Found")


@dataclass(repr=False)
class Plan:
    """What the engine will do for a model, a request and a memory budget; print it before running."""

    traced: Graph
    target: Target | None  # None: whole outputs leave the device
    letters: int  # edits per site, at most
    bytes_per_number: int
    memory: int  # bytes
    sites: tuple[int, int]  # the range that is edited
    workers: int  # batches that are in the making at one time
    device: torch.device
    near: Near | None = None  # outputs that are read where an edit is, and not the target's mean
    shapes: tuple[tuple[tuple[int, ...], int, int], ...] = ()  # of a table: pieces, places, edits
    linear: bool = False  # what lies behind a seam is taken to first order
    brief: bool = False  # originals come of a float32 forward of short sums
    thinned: Thinned = field(init=False)  # the graph, each layer where it is read
    order: list[str] = field(init=False)  # rippling nodes with a rule, as they are computed
    cones: dict[str, tuple[int, int]] = field(init=False)
    spread: Spread = field(init=False)
    _found: dict[Any, Any] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.thinned = thin(self.traced, self._asked())
        self.order = self.graph.needed
        self.cones = self._cones()
        near = self.near.cones(self.graph, self.order, self._out) if self.near else None
        self.spread = Spread(self.graph, self.order, self.cones, near)

    @property
    def graph(self) -> Graph:
        """The traced graph with its layers on the positions that are read."""
        return self.thinned.graph

    @property
    def seen(self) -> tuple[int, int]:
        """The sites that the target can see at all; edits elsewhere change nothing, exactly."""
        lo, hi = hull((0, 0), self.cones[self.graph.edited])
        return max(lo, self.sites[0]), min(hi, self.sites[1])

    @property
    def _out(self) -> str:
        return self.graph.resolve(self.graph.output)

    @property
    def local(self) -> bool:
        """Whether the output itself is reached by deltas: no tail is run."""
        return self.traced.nodes[self.traced.output].role == "ripple"

    @property
    def context(self) -> Context:
        """How much sequence around a base decides its scores; raises NoTiles, a ValueError, if all."""
        return context(self)

    @cached_property
    def stretches(self) -> list[tuple[str, ...]]:
        """The layers in order: those that a chain of compiled ops takes together, and single ones."""
        together = groupby(self.order, key=lambda name: self.rule(name).chained)
        return [
            part
            for chained, names in together
            for part in ([tuple(names)] if chained else [(name,) for name in names])
        ]

    @cached_property
    def stored(self) -> set[str]:
        """The layers whose deltas are stored for a whole batch, not passed on within a chain."""
        within = {n: at for at, names in enumerate(self.stretches) for n in names}
        read = {
            source
            for name in self.order
            for source in self.rule(name).inputs
            if within.get(source) != within[name]
        }
        leaves = {self.graph.resolve(n) for n in (*self.graph.frontier, self.graph.output)}
        return {name for name in within if name in read | leaves}

    @property
    def kept(self) -> Mapping[str, Kept]:
        """The original activations that rules read, as rows."""
        return self.thinned.reads

    def whole(self) -> list[str]:
        """Values that are laid out whole, with an edit's delta added: what the tail or the user reads."""
        laid = list(self.traced.frontier)
        return [*laid, self.traced.output] if self.local and self.target is None else laid

    def held(self, start: int, end: int) -> dict[str, tuple[int, int]]:
        """Which positions of each kept node the edits at sites [start, end) look at: their hull."""
        return self._once(looked_at, start, end)

    def partial(self, start: int, end: int) -> Partial:
        """The original's forward where the edits at sites [start, end), and the request, read it."""
        return self._once(partial_of, start, end)

    def _once(self, find: Callable[[Plan, int, int], Found], start: int, end: int) -> Found:
        """What is found for a stretch of sites: many groups of sequences ask for the same."""
        key = find, start, end
        if key not in self._found:
            self._found[key] = find(self, start, end)
        made: Found = self._found[key]
        return made

    @cached_property
    def read(self) -> Cut | None:
        """The positions of the output that the target reads; None: all of it, or it has none."""
        if not self.local or self.target is None or self.near or self.output_axes.dim is None:
            return None
        lattice, cone = self.target.lattice(self.output_axes), self.target.cone(self.output_axes)
        return Cut.of(lattice, lattice.places(*cone))

    @cached_property
    def steady(self) -> dict[str, int | None]:
        """Values that no edit reaches but that the tail reads, and which of their dimensions is the batch."""
        nodes = self.traced.nodes
        return {
            arg.name: batch_dim(arg)
            for node in self.traced.fx
            if node.op == "call_function" and nodes[node.name].role == "tail"
            for arg in node.all_input_nodes
            if nodes[arg.name].role == "original"
        }

    def reader_counts(self) -> dict[str, int]:
        """How many rules read each node's delta; the output and the frontier count one more."""
        counts = dict.fromkeys([self.graph.edited, *self.order], 0)
        for name in self.order:
            for source in self.rule(name).inputs:
                counts[source] += 1
        kept = [*self.graph.frontier, *([self.graph.output] if self.local else [])]
        for name in kept:
            counts[self.graph.resolve(name)] += 1
        return counts

    def rule(self, name: str) -> Rule:
        """How a layer takes deltas."""
        rule = self.graph.nodes[name].rule
        assert rule is not None
        return rule

    def axes(self, name: str) -> Axes:
        """Axes of a rippling node."""
        axes = self.graph.nodes[name].axes
        assert axes is not None
        return axes

    @property
    def output_axes(self) -> Axes:
        """Axes of the whole output, where deltas reach it."""
        axes = self.traced.nodes[self.traced.output].axes
        assert axes is not None
        return axes

    def length(self, name: str) -> int:
        """How many positions a layer has, read or not; a pick has those of what it picks from."""
        node = self.traced.nodes.get(name) or self.traced.nodes[self.rule(name).inputs[0]]
        return node.axes.length if node.axes else 0

    def _asked(self) -> list[tuple[str, Lattice]]:
        """What the tail, the user or the targets read, and which positions of it."""
        graph = self.traced
        names = [graph.resolve(name) for name in self.whole()]
        asked = [(n, whole(axes.length)) for n in names if (axes := graph.nodes[n].axes)]
        if self.local and self.target is not None:
            asked.append((graph.resolve(graph.output), self.target.lattice(self.output_axes)))
        return asked

    def _cones(self) -> dict[str, tuple[int, int]]:
        graph = self.graph
        cones = dict.fromkeys([graph.edited, *self.order], (0, 0))
        for name in graph.frontier:
            cones[graph.resolve(name)] = (0, self.axes(name).length)
        if self.local:
            out = graph.resolve(graph.output)
            wanted = (0, self.output_axes.length)
            if self.target is not None:
                wanted = self.target.cone(self.output_axes)
            cones[out] = hull(cones[out], self.thinned.lattices[out].places(*wanted))
        for name in reversed(self.order):
            rule = self.rule(name)
            for index, source in enumerate(rule.inputs):
                if cones[name][0] < cones[name][1]:
                    lo, hi = rule.reach(index).cone(*cones[name])
                    cones[source] = hull(cones[source], clip(lo, hi, self.axes(source).length))
        return cones

    def rows(self, sites: Ints, wide: int = 1) -> dict[str, Rows]:
        """The rows every layer keeps for edits `wide` positions wide that begin at these sites.

        A layer that none of them reaches is absent. Raises Mixed where the sites do not share one
        window structure.
        """
        return self.spread.rows([(sites, sites + wide)])

    def chunks(self, pieces: Pieces, many: int, load: Load | None = None) -> Iterator[Chunk]:
        """Batches over sites that have these pieces and so many edits each, in the order given.

        `load`: what a site comes to, where it is known of more sites than these.
        """
        return self.spread.chunks(pieces, self._batch(pieces, many, load))

    def sites_per_batch(self, site: Ints) -> int:
        """How many sites a batch takes: what suits the device, and never more than the budget."""
        return self._batch([(site, site + 1)], self.letters)

    def load(self, pieces: Pieces, many: int) -> Load:
        """What one site of a batch comes to: the most of some of those that have these pieces."""
        return site_load(self, pieces, many)

    def _batch(self, pieces: Pieces, many: int, load: Load | None = None) -> int:
        budget = self.memory // 2 // self.workers  # the other half is for the originals
        count, one_chain = len(pieces[0][0]), len(self.stretches) == 1
        load = load or self.load(pieces, many)
        most = sites_per_batch(load, count, many, one_chain, budget, self.device)
        rounds = -(-count // (most * self.workers))
        return -(-count // (rounds * self.workers))  # so that all workers end together

    def __repr__(self) -> str:
        return report(self)

    def work(self, sites: Ints) -> tuple[float, float, float]:
        """Multiply-adds of one edit, averaged over sites: in windows, in the tail, and naive."""
        sample = sites[np.linspace(0, len(sites) - 1, min(len(sites), 256)).astype(int)]
        total = sum(window_work(self, self.rows(site[None])) for site in sample)
        naive, tail = forward_work(self.traced)
        return total / len(sample), tail, naive

    def forward_bytes(self) -> int:
        """Bytes that one sequence's ordinary forward holds at its peak, roughly."""
        shapes: list[Any] = [getattr(n.meta.get("val"), "shape", ()) for n in self.graph.fx]
        sizes = [
            prod(int(s) for s in shape[1:] if isinstance(s, int))
            for shape in shapes
            if len(shape) > 1
        ]
        double = self.local and not self.brief
        return 4 * max(sizes, default=1) * (8 if double else self.bytes_per_number)

    def original_bytes(self, start: int, end: int) -> int:
        """Bytes of the original activations that edits at sites [start, end) of one sequence need."""
        kept = self.kept
        held = self.held(start, end)
        numbers = sum((hi - lo) * kept[n].axes.channels for n, (lo, hi) in held.items())
        numbers += sum(prod(self.axes(n).shape) for n in self.whole())
        return int(numbers * self.bytes_per_number)

    def tiles(self, start: int, end: int) -> list[tuple[int, int]]:
        """The sites in stretches whose originals take no more than half of the budget."""
        if end - start <= 1 or self.original_bytes(start, end) <= self.memory // 2:
            return [(start, end)]
        middle = (start + end) // 2
        if self.original_bytes(start, middle) > 0.95 * self.original_bytes(start, end):
            return [(start, end)]  # a seam wants whole layers: halving the sites would not help
        return self.tiles(start, middle) + self.tiles(middle, end)
