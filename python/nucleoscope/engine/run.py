"""Plan + tensors -> raw scores: one ordinary forward, then batch after batch of deltas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nucleoscope.engine.chain import Chain
from nucleoscope.engine.forward import Forward
from nucleoscope.engine.graph import Axes, Rule, batch_dim
from nucleoscope.engine.memory import Halving
from nucleoscope.engine.plan import Plan
from nucleoscope.engine.rows import Delta, Ints, Rows
from nucleoscope.engine.spread import Chunk
from nucleoscope.engine.step import Edits, Originals, Placed, Step
from nucleoscope.engine.transfer import sent
from nucleoscope.engine.workers import in_order


@dataclass(frozen=True)
class Batch:
    """What one batch of edits gave: scores [S, E, T], or whole outputs [S, E, *out]."""

    sites: slice
    values: Tensor


class Run:
    """One group of sequences: their originals, and the edits at a stretch of their sites."""

    def __init__(
        self, plan: Plan, forward: Forward, inputs: dict[str, Tensor], sites: tuple[int, int]
    ) -> None:
        self.plan, self.forward, self.sites = plan, forward, sites
        self._axes, self._held = plan.kept, plan.held(*sites)
        self._steady_names = _steady_values(plan)
        self._steady: dict[str, Tensor] = {}
        self._kept: dict[str, tuple[Tensor, int]] = {}
        # A tail subtracts two outputs: both must come of one arithmetic.
        source = forward.precise() if plan.local else forward
        kind = source.like.dtype
        given = {n: t.to(kind) if t.is_floating_point() else t for n, t in inputs.items()}
        self.output = source.original(given, self._keep).to(forward.like.dtype)
        self.originals = Originals(self._kept)
        self._reads = _reader_counts(plan)
        looking = sum(self._rule(name).looks_up for name in plan.order)
        self._columns = self._reads[plan.graph.edited] > looking  # whether any reads it as numbers
        if plan.local and plan.target is not None:
            self._reader = plan.target.reader(_output_axes(plan), forward.like)

    def _keep(self, name: str, value: Tensor) -> None:
        if name in self._held:
            lo, hi = self._held[name]
            rows = self._axes[name].rows(value.expand(len(value), *self._axes[name].shape))
            self._kept[name] = (rows[:, lo:hi].contiguous().to(self.forward.like.dtype), lo)
        if name in self._steady_names:
            self._steady[name] = value

    def batches(self, edits: Edits) -> Iterator[Batch]:
        """Run all edits, ordered by (sequence, site), batch by batch."""
        if len(edits) == 0:
            return

        def make(chunk: Chunk) -> Batch:
            with torch.no_grad():  # a thread has its own setting
                return Batch(chunk.sites, self._chunk(chunk, edits.part(chunk.sites)))

        device = self.forward.like.device
        halving = Halving(make, device, "a batch of one site")
        chunks = self.plan.chunks(edits.site)
        for made in in_order(lambda chunk: list(halving(chunk)), chunks, device):
            yield from made

    def _chunk(self, chunk: Chunk, edits: Edits) -> Tensor:
        placed = Placed.at(self.forward.like.device, chunk.rows, edits)
        deltas = self._deltas(chunk, edits, placed)
        plan, graph = self.plan, self.plan.graph
        shape = edits.new.shape
        if plan.local:
            delta = deltas.get(graph.resolve(graph.output))
            if plan.target is None:
                return self._lay(graph.output, delta, edits).view(*shape, *self.output.shape[1:])
            if delta is None:
                return self.forward.like.new_zeros((*shape, len(plan.target)))
            return self._reader(delta)
        laid = {n: self._lay(n, deltas.get(graph.resolve(n)), edits) for n in graph.frontier}
        which = sent(np.repeat(edits.sequence, shape[1]), self.output.device)
        laid.update({n: _select(v, self._steady_names[n], which) for n, v in self._steady.items()})
        edited = self.forward.tail(laid, shape[0] * shape[1])
        if plan.target is None:
            return edited.view(*shape, *edited.shape[1:])
        change = edited - self.output.index_select(0, which)
        return plan.target.of_values(change).view(*shape, -1)

    def _deltas(self, chunk: Chunk, edits: Edits, placed: Placed) -> dict[str, Delta]:
        """The deltas that the output or the tail reads."""
        deltas = {}
        edited = self.plan.graph.edited
        if edited in chunk.rows and self._columns:
            columns = edits.columns(self.forward.like)
            deltas[edited] = Delta(chunk.rows[edited], columns)
        left, reached = dict(self._reads), {edited} & chunk.rows.keys()
        for names in self.plan.stretches:
            live = [n for n in names if self._reaches(n, chunk, reached)]
            for source in (s for n in names for s in self._rule(n).inputs):
                left[source] -= 1
            if not live:
                continue
            if self._rule(names[0]).chained:
                asked = [n for n in live if left[n]]
                deltas |= self._chain(live, chunk, edits, placed, deltas, asked)
            else:
                deltas[names[0]] = self._step(names[0], chunk, edits, deltas, left)
            deltas = {name: delta for name, delta in deltas.items() if left[name]}
        return deltas

    def _rule(self, name: str) -> Rule:
        rule = self.plan.graph.nodes[name].rule
        assert rule is not None
        return rule

    def _reaches(self, name: str, chunk: Chunk, reached: set[str]) -> bool:
        """Whether any edit of the batch changes this layer; it is then among the reached."""
        live = name in chunk.rows and not reached.isdisjoint(self._rule(name).inputs)
        if live:
            reached.add(name)
        return live

    def _chain(
        self, names: list[str], chunk: Chunk, edits: Edits, placed: Placed,
        deltas: dict[str, Delta], asked: list[str],
    ) -> dict[str, Delta]:  # fmt: skip
        read = {s for n in names if not self._rule(n).looks_up for s in self._rule(n).inputs}
        given = {name: delta for name, delta in deltas.items() if name in read}
        chain = Chain(given, edits, self.originals, placed, self.forward.tf32)
        for name in names:
            chain.add(name, self._rule(name), chunk.rows[name], self.forward.packed[name])
        return chain.run(asked)

    def _step(
        self, name: str, chunk: Chunk, edits: Edits, deltas: dict[str, Delta], left: dict[str, int]
    ) -> Delta:
        rule, rows = self._rule(name), chunk.rows[name]
        given = [deltas.get(s) for s in rule.inputs]
        owned = [left[s] == 0 for s in rule.inputs]
        packed, like = self.forward.packed[name], self.forward.like
        return Delta(
            rows, rule.delta(Step(rows, given, owned, packed, edits, self.originals, like))
        )

    def _lay(self, name: str, delta: Delta | None, edits: Edits) -> Tensor:
        """The edited value of a node, whole: the original with the window's delta added. [S * E, *shape]"""
        plan = self.plan
        axes = plan.axes(name)
        originals, _ = self._kept[name]
        sites, many = edits.new.shape
        which = sent(np.repeat(edits.sequence, many), originals.device)
        full = originals.index_select(0, which).view(sites * many * axes.length, -1)
        if delta is not None:
            where = _targets(delta.rows, many)
            full.index_add_(0, sent(where, full.device), delta.values.reshape(-1, full.shape[1]))
        return axes.unrows(full.view(sites * many, axes.length, -1))


def _targets(rows: Rows, many: int) -> Ints:
    """Flat index into [S, E, L] of every row of a delta [W, S, E]; rows beyond the ends hold zeros."""
    position = np.clip(rows.positions, 0, rows.length - 1)[:, :, None]
    site = np.arange(rows.sites)[None, :, None] * many + np.arange(many)
    flat: Ints = (site * rows.length + position).reshape(-1)
    return flat


def _output_axes(plan: Plan) -> Axes:
    axes = plan.graph.nodes[plan.graph.output].axes
    assert axes is not None
    return axes


def _reader_counts(plan: Plan) -> dict[str, int]:
    """How many rules read each node's delta; the output and the frontier count one more."""
    graph = plan.graph
    counts = dict.fromkeys([graph.edited, *plan.order], 0)
    for name in plan.order:
        rule = graph.nodes[name].rule
        assert rule is not None
        for source in rule.inputs:
            counts[source] += 1
    kept = list(graph.frontier) + ([graph.output] if plan.local else [])
    for name in kept:
        counts[graph.resolve(name)] += 1
    return counts


def _steady_values(plan: Plan) -> dict[str, int | None]:
    """Values that no edit reaches but that the tail reads, and which of their dimensions is the batch."""
    nodes = plan.graph.nodes
    return {
        arg.name: batch_dim(arg)
        for node in plan.graph.fx
        if node.op == "call_function" and nodes[node.name].role == "tail"
        for arg in node.all_input_nodes
        if nodes[arg.name].role == "original"
    }


def _select(value: Tensor, dim: int | None, which: Tensor) -> Tensor:
    return value if dim is None else value.index_select(dim, which)
