"""Plan + tensors -> raw scores: one ordinary forward, then batch after batch of deltas."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nucleoscope.engine.chain import Chain
from nucleoscope.engine.edits.tangent import Tangent
from nucleoscope.engine.graph import Rule
from nucleoscope.engine.memory import Halving
from nucleoscope.engine.planning.batch_size import Load
from nucleoscope.engine.planning.plan import Plan
from nucleoscope.engine.planning.spread import Chunk
from nucleoscope.engine.planning.thin import Kept
from nucleoscope.engine.rows import Delta, Rows
from nucleoscope.engine.step import AnyEdits, Blocks, Originals, Placed, Step, columns
from nucleoscope.engine.tracing.opened import weight
from nucleoscope.engine.transfer import sent
from nucleoscope.engine.values.cuts import Cut
from nucleoscope.engine.values.forward import Forward
from nucleoscope.engine.values.ways import Given
from nucleoscope.engine.workers import in_order

AT_ONCE = 1 << 26  # bytes that the forward of some sequences holds at its peak


@dataclass(frozen=True)
class Way:
    """By which rules, and with which weights, a batch of one kind of edits goes through the layers."""

    rules: Mapping[str, Rule]
    packed: Mapping[str, Any]  # a layer that only picks positions of one before it has none
    columns: bool  # whether any of the rules reads the edited columns as numbers


@dataclass(frozen=True)
class Batch:
    """What one batch of edits gave: scores [S, E, T], or whole outputs [S, E, *out]."""

    sites: slice
    values: Tensor
    lost: Tensor  # [S, E] bool: edits of which a delta was NaN, whatever was made of it


class Run:
    """One group of sequences: their originals, and the edits at a stretch of their sites."""

    def __init__(
        self, plan: Plan, forward: Forward, inputs: dict[str, Tensor], sites: tuple[int, int]
    ) -> None:
        self.plan, self.forward, self.sites = plan, forward, sites
        self._held, self._laid = plan.held(*sites), set(plan.whole())
        self._keeps: dict[str, list[tuple[str, Kept]]] = {}
        for at, kept in plan.kept.items():
            self._keeps.setdefault(kept.name, []).append((at, kept))
        self._whole: dict[str, Tensor] = {}
        self._steady_names = plan.steady
        self._steady: dict[str, Tensor] = {}
        self._kept: dict[str, tuple[Tensor, int]] = {}
        # A tail subtracts two outputs: both must come of one arithmetic.
        source = forward.brief() if plan.brief else forward.precise() if plan.local else forward
        kind = source.like.dtype
        given = {n: t.to(kind) if t.is_floating_point() else t for n, t in inputs.items()}
        self._partial = plan.partial(*sites)
        self._still = source.still
        output = self._originals(source, given)
        self.output = self._laid_out(output).to(forward.like.dtype)
        self.originals = Originals(self._kept)
        self._reads = plan.reader_counts()
        self._rules = {name: self._rule(name) for name in plan.order}
        if plan.local and plan.target is not None:
            made = plan.thinned.lattices[plan.graph.resolve(plan.graph.output)]
            self.reader = plan.target.reader(plan.output_axes, forward.like, made)
        if plan.linear:
            self._tangent = Tangent(plan, forward, self._whole, self._steady)
            self._whole.clear()

    def _originals(self, source: Forward, given: dict[str, Tensor]) -> Tensor:
        """The outputs of a group's forward, a few sequences at a time: what they make stays in cache."""
        many = len(next(iter(given.values())))
        size, output = max(1, AT_ONCE // self.plan.forward_bytes()), None
        heard = {*self._keeps, *self._laid, *self._steady_names}
        for first in range(0, many, size):
            part = {name: t[first : first + size] for name, t in given.items()}
            keep = partial(self._keep, first=first, many=many)
            made = source.original(part, keep, self._partial, heard)
            output = _joined(output, made, first, many)
        assert output is not None
        return output

    def _keep(self, name: str, value: Tensor, first: int, many: int) -> None:
        for at, kept in self._keeps.get(name, ()):
            lo, hi = self._held[at]
            there = self._partial.cuts[name] or Cut.whole(kept.axes.length)
            axes = kept.axes if kept.axes.dim is None else kept.axes.with_length(there.count)
            cube = axes.cube(value.expand(len(value), *axes.shape))
            cube = cube[:, there.index(Cut.of(kept.lattice, (lo, hi)))]
            if len(cube) == many and self._still and self._lies_as_rows(cube):
                self._kept[at] = cube.flatten(2), lo
                continue
            before, _ = self._kept.get(at, (None, 0))
            if before is None:
                like = self.forward.like
                before = like.new_empty(many, cube.shape[1], kept.axes.channels)
            before[first : first + len(cube)].view_as(cube).copy_(cube)  # turned and cast at once
            self._kept[at] = before, lo
        if name in self._laid:
            whole = value.expand(len(value), *self.plan.axes(name).shape)
            whole = whole.to(self.forward.like.dtype).contiguous()
            self._whole[name] = _joined(self._whole.get(name), whole, first, many)
        if name in self._steady_names:
            dim = self._steady_names[name]
            before = self._steady.get(name)
            self._steady[name] = value if dim is None else _joined(before, value, first, many, dim)

    def _lies_as_rows(self, cube: Tensor) -> bool:
        """Whether a value can be kept as it is: a part of one that is much larger would keep all of it."""
        there = cube.untyped_storage().nbytes() <= 2 * cube.numel() * cube.element_size()
        return there and cube.is_contiguous() and cube.dtype == self.forward.like.dtype

    def _laid_out(self, output: Tensor) -> Tensor:
        """The whole output; NaN where the target does not read it and it was not made."""
        name = self.plan.traced.output
        axes, there = self.plan.traced.nodes[name].axes, self._partial.cuts[name]
        return output if axes is None or there is None else Given(output, there, axes).whole()

    def batches(self, edits: AnyEdits, load: Load | None = None) -> Iterator[Batch]:
        """Run all edits, in the order given, batch by batch; neighbours share their windows best.

        `load`: what a site comes to, where it is known.
        """
        if len(edits) == 0:
            return

        def make(chunk: Chunk) -> Batch:
            with torch.no_grad():  # a thread has its own setting
                return self._chunk(chunk, edits.part(chunk.sites))

        device = self.forward.like.device
        halving = Halving(make, device, "a batch of one site")
        chunks = self.plan.chunks(edits.pieces, edits.shape[1], load)
        for made in in_order(lambda chunk: list(halving(chunk)), chunks, device):
            yield from made

    def _way(self, edits: AnyEdits) -> Way:
        blocks = isinstance(edits, Blocks)
        rules = {n: r.on_columns() if blocks else r for n, r in self._rules.items()}
        looking = sum(rule.looks_up for rule in rules.values())
        packed = self.forward.packed_for_columns if blocks else self.forward.packed
        return Way(rules, packed, self._reads[self.plan.graph.edited] > looking)

    def _chunk(self, chunk: Chunk, edits: AnyEdits) -> Batch:
        placed = Placed.at(self.forward.like.device, chunk.rows, edits)
        deltas = self._deltas(self._way(edits), chunk, edits, placed)
        lost = torch.zeros(edits.shape, dtype=torch.bool, device=self.forward.like.device)
        for delta in deltas.values():
            lost |= delta.values.isnan().any(3).any(0)
        return Batch(chunk.sites, self._values(deltas, edits), lost)

    def _values(self, deltas: dict[str, Delta], edits: AnyEdits) -> Tensor:
        plan, graph = self.plan, self.plan.graph
        shape = edits.shape
        if plan.local:
            delta = deltas.get(graph.resolve(graph.output))
            if plan.target is None:
                return self._lay(graph.output, delta, edits).view(*shape, *self.output.shape[1:])
            if delta is None:
                width = plan.near.width * len(plan.near.channels) if plan.near else len(plan.target)
                return self.forward.like.new_zeros((*shape, width))
            if plan.near is not None:
                return plan.near.of_delta(delta, edits.pieces[0][0])
            return self.reader(delta)
        if plan.linear:
            zero = self.forward.like.new_zeros((*shape, 1))
            return self._tangent(deltas, edits.sequence, zero)
        laid = {n: self._lay(n, deltas.get(graph.resolve(n)), edits) for n in graph.frontier}
        which = sent(np.repeat(edits.sequence, shape[1]), self.output.device)
        laid.update({n: _select(v, self._steady_names[n], which) for n, v in self._steady.items()})
        edited = self.forward.tail(laid, shape[0] * shape[1])
        if plan.target is None:
            return edited.view(*shape, *edited.shape[1:])
        change = edited - self.output.index_select(0, which)
        return plan.target.of_values(change).view(*shape, -1)

    def changes(self, edits: AnyEdits, names: Iterable[str]) -> dict[str, Delta]:
        """What edits, all of one window structure, do to these layers; one that none reaches is absent."""
        chunk = Chunk(slice(len(edits)), self.plan.spread.rows(edits.pieces))
        placed = Placed.at(self.forward.like.device, chunk.rows, edits)
        return self._deltas(self._way(edits), chunk, edits, placed, names)

    def _deltas(
        self, way: Way, chunk: Chunk, edits: AnyEdits, placed: Placed, more: Iterable[str] = ()
    ) -> dict[str, Delta]:
        """The deltas that the output or the tail reads, and more that are asked for."""
        deltas = {}
        edited = self.plan.graph.edited
        more = set(more)
        if edited in chunk.rows and (way.columns or edited in more):
            deltas[edited] = self._first(chunk.rows[edited], edits)
        left, reached = dict(self._reads), {edited} & chunk.rows.keys()
        for name in more:
            left[name] += 1
        for names in self.plan.stretches:
            live = [n for n in names if self._reaches(n, chunk, reached)]
            for source in (s for n in names for s in way.rules[n].inputs):
                left[source] -= 1
            if not live:
                continue
            if way.rules[names[0]].chained:
                asked = [n for n in live if left[n]]
                deltas |= self._chain(way, live, chunk, edits, placed, deltas, asked)
            else:
                deltas[names[0]] = self._step(way, names[0], chunk, edits, deltas, left)
            deltas = {name: delta for name, delta in deltas.items() if left[name]}
        return deltas

    def _first(self, rows: Rows, edits: AnyEdits) -> Delta:
        """The delta of the sequence itself, where the cone has not cut it off."""
        starts, widths = zip(*((lo, int((hi - lo)[0])) for lo, hi in edits.pieces), strict=True)
        whole = Delta(Rows(starts, widths, rows.length), columns(edits, self.forward.like))
        return Delta(rows, whole.on(rows))

    def _rule(self, name: str) -> Rule:
        rule = self.plan.graph.nodes[name].rule
        assert rule is not None
        return rule

    def _reaches(self, name: str, chunk: Chunk, reached: set[str]) -> bool:
        """Whether any edit of the batch changes this layer; it is then among the reached."""
        live = name in chunk.rows and not reached.isdisjoint(self._rules[name].inputs)
        if live:
            reached.add(name)
        return live

    def _chain(
        self, way: Way, names: list[str], chunk: Chunk, edits: AnyEdits, placed: Placed,
        deltas: dict[str, Delta], asked: list[str],
    ) -> dict[str, Delta]:  # fmt: skip
        read = {s for n in names if not way.rules[n].looks_up for s in way.rules[n].inputs}
        given = {name: delta for name, delta in deltas.items() if name in read}
        chain = Chain(given, edits, self.originals, placed, self.forward.tf32)
        for name in names:
            chain.add(name, way.rules[name], chunk.rows[name], weight(way.packed, name))
        return chain.run(asked)

    def _step(
        self, way: Way, name: str, chunk: Chunk, edits: AnyEdits, deltas: dict[str, Delta],
        left: dict[str, int],
    ) -> Delta:  # fmt: skip
        rule, rows = way.rules[name], chunk.rows[name]
        given = [deltas.get(s) for s in rule.inputs]
        owned = [left[s] == 0 for s in rule.inputs]
        packed, like = weight(way.packed, name), self.forward.like
        return Delta(
            rows, rule.delta(Step(rows, given, owned, packed, edits, self.originals, like))
        )

    def _lay(self, name: str, delta: Delta | None, edits: AnyEdits) -> Tensor:
        """The edited value of a node, whole: the original with the window's delta added. [S * E, *shape]

        It lies in memory as the model would have made it: the tail's ops are slow on any other strides.
        """
        axes, originals = self.plan.axes(name), self._whole[name]
        many = edits.shape[1]
        which = sent(np.repeat(edits.sequence, many), originals.device)
        full = originals.index_select(0, which)
        if delta is not None:
            where = sent(delta.rows.targets(many, axes.left), full.device)
            table, values = (t.reshape(-1, axes.right).squeeze(1) for t in (full, delta.values))
            table.index_add_(0, where, values)  # a view of `full`
        return full


def _joined(before: Tensor | None, part: Tensor, first: int, many: int, dim: int = 0) -> Tensor:
    """A value of all sequences, with that of those from `first` on in its place."""
    if part.shape[dim] == many:
        return part
    if before is None:
        shape = [*part.shape[:dim], many, *part.shape[dim + 1 :]]
        before = part.new_empty(shape)
    before.narrow(dim, first, part.shape[dim]).copy_(part)
    return before


def _select(value: Tensor, dim: int | None, which: Tensor) -> Tensor:
    return value if dim is None else value.index_select(dim, which)
