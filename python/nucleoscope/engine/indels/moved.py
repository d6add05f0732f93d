"""Insertions and deletions: which layers they only move, and which positions are to be made anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
import torch.fx

from nucleoscope.engine.graph import Axes, Graph, batch_dim
from nucleoscope.engine.rows import Ints
from nucleoscope.engine.values.ways import Moved, Reshaped, Way, Windowed, broadcasts, ripples, way
from nucleoscope.engine.windows import Mirror, Stencil, clip, hull

Span = tuple[int, int]

BEYOND = 1 << 40  # farther than any end, whatever strides have made of it


@dataclass(frozen=True)
class Splices:
    """M edited sequences: what stood left of a place, letters put there, what stood right of it.

    Position p of the m-th holds the sequence's p - left[m] up to begin[m], then what is put, and its
    p - right[m] from end[m] on; a position that the sequence lacks is an all-zero column.
    """

    sequence: Ints  # [M]
    begin: Ints  # [M]
    end: Ints  # [M]
    left: Ints  # [M]
    right: Ints  # [M]
    put: Ints  # [M, W] letters; those behind end - begin do not count

    def __len__(self) -> int:
        return len(self.sequence)

    def part(self, chosen: Ints | slice) -> Splices:
        """Some of them."""
        each = (self.sequence, self.begin, self.end, self.left, self.right, self.put)
        return Splices(*(values[chosen] for values in each))

    def letters(self, letters: Ints, positions: Ints) -> Ints:
        """The letters at positions [M, W] of the edited sequences, of which `letters` [N, L] are the originals."""
        behind = positions >= self.end[:, None]
        source = positions - np.where(behind, self.right[:, None], self.left[:, None])
        there = (source >= 0) & (source < letters.shape[1])
        held = letters[self.sequence[:, None], source.clip(0, letters.shape[1] - 1)]
        put = positions - self.begin[:, None]
        new = ~behind & (put >= 0)
        at = put.clip(0, max(self.put.shape[1] - 1, 0))
        rows = np.arange(len(self))[:, None]
        inserted = self.put[rows, at] if self.put.shape[1] else np.full(at.shape, -1)
        found: Ints = np.where(new, inserted, np.where(there, held, -1))
        return found


@dataclass(frozen=True)
class Dirty:
    """Positions of a layer that are to be made anew, per edit: around the new letters, and at an end.

    Before `border` lies what was left of the edit, and behind the first piece what was right of it.
    """

    border: Ints  # [M]
    pieces: tuple[tuple[Ints, Ints], ...]  # (lo, hi), [M] each


@dataclass(frozen=True)
class Moving:
    """The layers of a graph that move along where what lies beside edits moves by so many bases."""

    graph: Graph
    shifts: tuple[int, ...]
    read: Span  # which positions of the output are asked about, where it is one of them

    @cached_property
    def steps(self) -> dict[str, int]:
        """The layers in order, and how many bases a position of each stands for."""
        steps = {self.graph.edited: 1}
        for node in self.graph.fx:
            how = way(self.graph, node) if node.op == "call_function" else None
            if how is not None and self._follows(node, how, steps):
                source = next(a.name for a in node.all_input_nodes if ripples(self.graph, a))
                step = steps[source] * (how.reach.stride if isinstance(how.reach, Stencil) else 1)
                if not any(shift % step for shift in self.shifts):
                    steps[node.name] = step
        return steps

    @cached_property
    def ways(self) -> dict[str, Way]:
        """How each of them makes some of its positions."""
        nodes = {node.name: node for node in self.graph.fx}
        made = ((name, way(self.graph, nodes[name])) for name in self.steps)
        return {name: how for name, how in made if how is not None and name != self.graph.edited}

    def _follows(self, node: torch.fx.Node, how: Way, steps: dict[str, int]) -> bool:
        """Whether an op does the same wherever it is moved."""
        if isinstance(how.reach, Mirror) or how.axes.length == 1 or how.axes.dim is None:
            return False
        roles = {self.graph.nodes[a.name].role for a in node.all_input_nodes}
        sources = [a.name for a in node.all_input_nodes if ripples(self.graph, a)]
        if not all(name in steps for name in sources) or len({steps[s] for s in sources}) != 1:
            return False
        if isinstance(how, Reshaped):
            return roles <= {"ripple", "size", "static"}
        if not roles <= {"ripple", "static"}:
            return False
        fixed = [a for a in node.all_input_nodes if self.graph.nodes[a.name].role == "static"]
        return not (broadcasts(node.target) and any(_differs(a, how.axes) for a in fixed))

    @cached_property
    def last(self) -> list[str]:
        """Those that something else reads: laid out whole, with what is new, before the rest runs."""
        read = {
            a.name
            for node in self.graph.fx
            if node.name in self.rest
            for a in node.all_input_nodes
            if a.name in self.steps
        }
        return [n for n in self.steps if n in read or n == self.graph.output]

    @cached_property
    def rest(self) -> list[str]:
        """All other ops that the output needs: they run on whole values for every edit."""
        needed = {self.graph.output}
        for node in reversed(self.graph.fx):
            role = self.graph.nodes[node.name].role if node.name in needed else "static"
            if node.name not in self.steps and role in ("ripple", "tail", "size"):
                needed.update(a.name for a in node.all_input_nodes)
        roles = ("ripple", "tail", "size")
        return [
            node.name
            for node in self.graph.fx
            if node.name in needed
            and node.name not in self.steps
            and self.graph.nodes[node.name].role in roles
        ]

    @cached_property
    def needed(self) -> list[str]:
        """Those that are made for the last of them."""
        needed = set(self.last)
        for node in reversed(self.graph.fx):
            if node.name in needed and node.name in self.ways:
                needed.update(a.name for a in node.all_input_nodes if a.name in self.steps)
        return [name for name in self.steps if name in needed]

    @cached_property
    def steady(self) -> dict[str, int | None]:
        """Values that no edit reaches but that the rest reads, and which of their dimensions is the batch."""
        return {
            a.name: batch_dim(a)
            for node in self.graph.fx
            if node.name in self.rest
            for a in node.all_input_nodes
            if self.graph.nodes[a.name].role == "original"
        }

    def axes(self, name: str) -> Axes:
        """Of one of them."""
        axes = self.graph.nodes[name].axes
        assert axes is not None
        return axes

    @cached_property
    def cones(self) -> dict[str, Span]:
        """The positions that are read of each."""
        cones = dict.fromkeys(self.needed, (0, 0))
        for name in self.last:
            cones[name] = (0, self.axes(name).length)
        if self.last == [self.graph.output]:
            cones[self.graph.output] = self.read
        for node in reversed(self.graph.fx):
            if node.name in self.ways and node.name in cones:
                for a in node.all_input_nodes:
                    if a.name in cones:
                        span = self.ways[node.name].reach.cone(*cones[node.name])
                        here = clip(*span, self.axes(a.name).length)
                        cones[a.name] = hull(cones[a.name], here)
        return cones

    @cached_property
    def looked_at(self) -> list[str]:
        """Those of which more is read than is made anew, or less: their originals are kept."""
        many = set(self.last) - {self.graph.edited}
        for name, how in self.ways.items():
            if name not in self.cones:
                continue
            sources = self.sources(name)
            wide = isinstance(how, Windowed | Moved) or len(set(sources)) > 1
            less = any(self.cones[source] != self.cones[name] for source in sources)
            many.update(sources if wide or less else ())
        return [name for name in self.needed if name in many and name != self.graph.edited]

    def sources(self, name: str) -> list[str]:
        """Those that one is made of."""
        return self._inputs[name]

    @cached_property
    def _inputs(self) -> dict[str, list[str]]:
        return {
            node.name: [a.name for a in node.all_input_nodes if ripples(self.graph, a)]
            for node in self.graph.fx
            if node.name in self.steps
        }

    def numbers(self, name: str) -> int:
        """How many numbers one sequence's value has."""
        value = next(n.meta.get("val") for n in self.graph.fx if n.name == name)
        sizes = getattr(value, "shape", (1,))[1:]
        return prod(size for size in sizes if isinstance(size, int))

    @property
    def kept_numbers(self) -> int:
        """Of one sequence, in all layers that are kept."""
        spans = ((self.axes(name), *self.kept(name)) for name in self.looked_at)
        return sum((high - low) * axes.channels for axes, low, high in spans)

    def kept(self, name: str) -> Span:
        """Which positions of the original one are looked at: what is read, before it moved."""
        low, high = self.cones[name]
        moves = [0, *(shift // self.steps[name] for shift in self.shifts)]
        return clip(low - max(moves), high - min(moves), self.axes(name).length)

    def dirty(self, edits: Splices) -> dict[str, Dirty]:
        """What is to be made anew of each."""
        own = [(edits.begin, edits.end), *self._missing(self.graph.edited, edits)[1:]]
        found = {self.graph.edited: own}
        for name in self.needed[1:]:
            reach = self.ways[name].reach
            assert isinstance(reach, Stencil)
            spread = [[reach.spread(*piece) for piece in found[s]] for s in self.sources(name)]
            spread.append(self._missing(name, edits))
            found[name] = [_hull(same) for same in zip(*spread, strict=True)]
        return {name: self._within(name, pieces) for name, pieces in found.items()}

    def _missing(self, name: str, edits: Splices) -> list[tuple[Ints, Ints]]:
        """The positions of a layer that were not in it before they moved: a crop had taken them off.

        Those that come next to the new letters, then those at the ends, as pieces of a layer are.
        """
        length, step = self.axes(name).length, self.steps[name]
        left, right, far = edits.left // step, edits.right // step, np.full_like(edits.left, BEYOND)
        pieces = [(np.where(left < 0, length + left, far), np.where(right > 0, right, -far))]
        if left.any():
            pieces.append((-far, np.where(left != 0, left.clip(min=0), -far)))
        if right.any():
            pieces.append((np.where(right != 0, length + right.clip(max=0), far), far))
        return pieces

    def _within(self, name: str, pieces: list[tuple[Ints, Ints]]) -> Dirty:
        """Cut to what is read; the border stays where it is."""
        low, high = self.cones[name]
        cut = tuple((lo.clip(low, high), hi.clip(low, high)) for lo, hi in pieces)
        return Dirty(pieces[0][0], cut)


def _hull(many: Sequence[tuple[Ints, Ints]]) -> tuple[Ints, Ints]:
    lows, highs = zip(*many, strict=True)
    return np.minimum.reduce(lows), np.maximum.reduce(highs)


def _differs(constant: torch.fx.Node, axes: Axes) -> bool:
    """Whether a constant has a number for each position."""
    assert axes.dim is not None
    behind = len(axes.shape) - 1 - axes.dim
    shape = tuple(getattr(constant.meta.get("val"), "shape", ()))
    return len(shape) > behind and shape[len(shape) - 1 - behind] != 1
