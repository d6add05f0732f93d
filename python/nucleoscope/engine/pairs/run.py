"""Pairs of substitutions -> what each does beyond its two edits alone, carried through the layers by itself.

With d what an edit changes of a layer, let m = d(both) - d(one) - d(other). A linear step takes m as it takes any
delta. One that is not sees d(one) + d(other) + m, and m behind it is what it makes of that, less what it made of
the two alone. So a pair costs what m costs, and m is zero but where both windows are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

import numpy as np
import torch
from torch import Tensor

from nucleoscope.engine.chain import Chain
from nucleoscope.engine.edits.run import Run
from nucleoscope.engine.graph import Rule
from nucleoscope.engine.memory import Halving
from nucleoscope.engine.pairs.meeting import Batch, Meeting
from nucleoscope.engine.planning.plan import Plan
from nucleoscope.engine.rows import Delta, Ints, Rows, fill_rows
from nucleoscope.engine.rules.arithmetic import Sum
from nucleoscope.engine.step import Edits, Placed, Step
from nucleoscope.engine.tracing.opened import weight
from nucleoscope.engine.transfer import sent
from nucleoscope.engine.workers import in_order

MORE, BOTH, ALONE = "more:", "both:", "alone:"


@dataclass(frozen=True)
class Part:
    """Neighbouring pairs of sites."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first

    @property
    def pairs(self) -> slice:
        """Which of all pairs they are."""
        return slice(self.first, self.last)

    def halves(self) -> tuple[Part, Part]:
        """Its first and its last pairs."""
        middle = (self.first + self.last) // 2
        return Part(self.first, middle), Part(middle, self.last)


@dataclass(frozen=True)
class Layer:
    """One step of a batch: what it makes, by which rule, of which rows, with whose weights."""

    key: str
    rule: Rule
    rows: Rows
    name: str


class Pairs:
    """Pairs of sites of one sequence, E edits at each: E * E pairs of edits at each pair of sites."""

    def __init__(self, run: Run, edits: Edits, first: Ints, second: Ints) -> None:
        self.run, self.edits, self.first, self.second = run, edits, first, second
        self.many = edits.shape[1] ** 2
        plan = run.plan
        self._out = plan.graph.resolve(plan.graph.output)
        alone = run.changes(edits, known(plan))
        self._known = {ALONE + name: delta for name, delta in alone.items()}
        straight = (plan.rule(name) for name in plan.order if not plan.rule(name).reads)
        self._asked = {self._out, *(source for rule in straight for source in rule.inputs)}
        windows = {name: spans for name, (spans,) in plan.spread.windows(edits.pieces).items()}
        self.meeting = Meeting(plan, windows, first, second)

    def answers(self) -> Iterator[tuple[slice, Tensor]]:
        """What each pair does beyond its edits alone, [S, E * E, T], batch by batch."""

        def make(part: Part) -> tuple[slice, Tensor]:
            with torch.no_grad():  # a thread has its own setting
                return part.pairs, self._batch(part)

        device = self.run.forward.like.device
        halving = Halving(make, device, "a batch of one pair of sites")
        ends = self.meeting.batches(self.many)
        parts = (Part(first, last) for first, last in pairwise(ends))
        for made in in_order(lambda part: list(halving(part)), parts, device):
            yield from made

    def _batch(self, part: Part) -> Tensor:
        batch, run = self.meeting.batch(part.pairs), self.run
        layers = list(self._layers(batch))
        rows = {layer.key: layer.rows for layer in layers}
        alone = {s for layer in layers for s in layer.rule.inputs if s in self._known}
        for key in alone:
            rows[key] = next(layer.rows for layer in layers if key in layer.rule.inputs)
        edits = self._placeless(part)
        placed = Placed.at(run.forward.like.device, rows, edits)
        deltas = {key: Delta(rows[key], self._summed(key, rows[key], part)) for key in alone}
        for (chained, _), group in groupby(layers, key=_company):
            some = list(group)
            if chained:
                behind = layers[layers.index(some[-1]) + 1 :]
                deltas |= self._chain(some, behind, deltas, edits, placed)
                continue
            for layer in some:  # one may read the one before it
                deltas[layer.key] = self._step(layer, deltas, edits)
        out = deltas.get(MORE + self._out)
        if out is None:
            return run.forward.like.new_zeros(len(part), self.many, len(run.plan.target or ()))
        return run.reader(out)

    def _layers(self, batch: Batch) -> Iterator[Layer]:
        """The steps of a batch, in order; what is not read is not made."""
        plan, there = self.run.plan, set(self._known)
        for name in (plan.graph.edited, *plan.order):
            rule, axes = plan.graph.nodes[name].rule, plan.axes(name)
            more, both = batch.more.get(name), batch.both.get(name)
            key, other, alone = MORE + name, BOTH + name, ALONE + name
            bent = rule is not None and bool(rule.reads)
            if rule is not None and not bent and more is not None:
                inputs = tuple(MORE + source for source in rule.inputs)
                if not there.isdisjoint(inputs):
                    yield Layer(key, replace(rule, inputs=inputs), more, name)
                    there.add(key)
            if both is not None and rule is not None and bent:
                inputs = tuple(BOTH + source for source in rule.inputs)
                if not there.isdisjoint(inputs):
                    yield Layer(other, replace(rule, inputs=inputs), both, name)
                    there.add(other)
            elif both is not None and not there.isdisjoint((key, alone)):
                yield Layer(other, Sum((key, alone), axes, (), (1.0, 1.0)), both, name)
                there.add(other)
            if bent and more is not None and name in self._asked and other in there:
                yield Layer(key, Sum((other, alone), axes, (), (1.0, -1.0)), more, name)
                there.add(key)

    def _chain(
        self, layers: list[Layer], behind: list[Layer], deltas: dict[str, Delta], edits: Edits, placed: Placed
    ) -> dict[str, Delta]:  # fmt: skip
        run = self.run
        read = {source for layer in layers for source in layer.rule.inputs}
        given = {key: delta for key, delta in deltas.items() if key in read}
        chain = Chain(given, edits, run.originals, placed, run.forward.tf32)
        for layer in layers:
            chain.add(layer.key, layer.rule, layer.rows, weight(run.forward.packed, layer.name))
        later = {source for layer in behind for source in layer.rule.inputs} | {MORE + self._out}
        return chain.run([layer.key for layer in layers if layer.key in later])

    def _step(self, layer: Layer, deltas: dict[str, Delta], edits: Edits) -> Delta:
        run, inputs = self.run, layer.rule.inputs
        packed, like = weight(run.forward.packed, layer.name), run.forward.like
        given = [deltas.get(key) for key in inputs]
        owned = [False] * len(inputs)
        step = Step(layer.rows, given, owned, packed, edits, run.originals, like)
        return Delta(layer.rows, layer.rule.delta(step))

    def _placeless(self, part: Part) -> Edits:
        """Edits as ops take them, which say no more than which sequence they are of: no op looks at letters."""
        sites = self.first[part.pairs]
        none = np.full((len(part), self.many), -1)
        sequence, site = self.edits.sequence[sites], self.edits.site[sites]
        return Edits(sequence, site, none[:, 0], none, self.edits.ambiguous)

    def _summed(self, key: str, rows: Rows, part: Part) -> Tensor:
        """What both edits of each pair do alone, together: [W, S, E * E, C]."""
        delta, position = self._known[key], rows.positions
        one, two = (_of(delta, position, sites[part.pairs]) for sites in (self.first, self.second))
        return (one[:, :, :, None] + two[:, :, None]).flatten(2, 3)


def _company(layer: Layer) -> tuple[bool, bool]:
    """What layers of one chain share: dense ones are apart, so that many more pairs share their weights."""
    return layer.rule.chained, layer.rule.axes.length == 1


def known(plan: Plan) -> set[str]:
    """The layers of which it must be known what single edits do: steps that are not linear, and what they read."""
    bent = [name for name in plan.order if plan.rule(name).reads]
    return {*bent, *(source for name in bent for source in plan.rule(name).inputs)}


def _of(delta: Delta, position: Ints, sites: Ints) -> Tensor:
    """The deltas [V, M, E, C] of some sites at positions [W, S]; zero where they are not kept."""
    values, many = delta.values, delta.values.shape[1]
    row = position - delta.rows.starts[0][sites]
    inside = (row >= 0) & (row < delta.rows.width)
    index = sent(np.where(inside, row * many + sites, 0).reshape(-1), values.device)
    made = values.flatten(0, 1).index_select(0, index).view(*row.shape, *values.shape[2:])
    return fill_rows(made, ~inside, 0.0)
