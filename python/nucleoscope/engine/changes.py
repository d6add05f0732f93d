"""A checked request -> the raw change of every target by every substitution."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from nucleoscope.engine.forward import Forward
from nucleoscope.engine.memory import Halving
from nucleoscope.engine.plan import Plan
from nucleoscope.engine.prepare import Asked, forward, make_plan, substitutions
from nucleoscope.engine.run import Run
from nucleoscope.engine.step import Edits
from nucleoscope.engine.target import Read
from nucleoscope.engine.transfer import landed, sent

Between = Callable[[int], None]  # hears how many edits were done


@dataclass(frozen=True)
class Changes:
    """What the edits do, and what they were measured from."""

    raw: Tensor  # [N, T, A, sites] on the CPU; 0 at the letter that stands there
    original: Tensor  # [N, T]
    exact: bool  # deltas all the way: no two outputs were subtracted
    local: bool  # no tail was run


def by_deltas(asked: Asked, read: Read, between: Between) -> Changes:
    """All substitutions at the asked sites; raises Untraceable where the model cannot be traced."""
    held = forward(asked)
    plan = make_plan(asked, held, read)
    edits = substitutions(asked.sequences, asked.start, asked.end)
    raw: Tensor | None = None
    originals: dict[int, Tensor] = {}
    whole = read if read.func else None
    with torch.no_grad():
        for first, run in _runs(asked, held, plan):
            before = read(run.output)
            if raw is None:
                shape = (len(asked.sequences.letters), before.shape[1], asked.sequences.size)
                raw = before.new_zeros(*shape, asked.end - asked.start, device="cpu")
            originals[first] = before.cpu()
            for job in edits:
                mine = job.within(first, first + len(before), *run.sites)
                _fill(raw, run, mine, first, asked.start, whole, before, between)
    assert raw is not None
    start, end = plan.seen  # edits beyond these sites change nothing: there was nothing to do
    between(sum(job.new.size - job.within(0, len(raw), start, end).new.size for job in edits))
    original = torch.cat([originals[first] for first in sorted(originals)])
    return Changes(raw, original, plan.local and read.func is None, plan.local)


@dataclass(frozen=True)
class Group:
    """Neighbouring sequences, whose originals are kept at one time."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first

    def halves(self) -> tuple[Group, Group]:
        """Its first and its last sequences."""
        middle = (self.first + self.last) // 2
        return Group(self.first, middle), Group(middle, self.last)


def _runs(asked: Asked, held: Forward, plan: Plan) -> Iterator[tuple[int, Run]]:
    """Groups of sequences, and stretches of sites, whose originals fit the budget."""
    start, end = plan.seen
    tiles = plan.tiles(start, end) if start < end else [(start, start)]
    each = plan.original_bytes(*tiles[0]) + plan.forward_bytes()
    size, count = max(1, asked.memory // 2 // each), len(asked.sequences.letters)
    names = (held.graph.edited, *held.graph.others)

    def originals(group: Group, tile: tuple[int, int]) -> tuple[int, Run]:
        given = (
            _cast(t, asked.dtype).to(asked.device) for t in asked.part(group.first, group.last)
        )
        return group.first, Run(plan, held, dict(zip(names, given, strict=True)), tile)

    for first in range(0, count, size):
        for tile in tiles:
            make = partial(originals, tile=tile)
            halving = Halving(make, asked.device, "one sequence's original")
            yield from halving(Group(first, min(first + size, count)))


def _fill(
    raw: Tensor, run: Run, edits: Edits, first: int, start: int,
    read: Read | None, before: Tensor, between: Between,
) -> None:  # fmt: skip
    """Run a group's edits and put each change in its place; `read` where whole outputs come back."""
    letters = edits.new.shape[1]

    def read_off() -> Iterator[tuple[Edits, Tensor]]:
        for batch in run.batches(edits):
            part, values = edits.part(batch.sites), batch.values
            if read is not None:
                own = before[sent(part.sequence, before.device)][:, None]
                values = read(values.flatten(0, 1)).view(*part.new.shape, -1) - own
            yield part, values

    for part, values in landed(read_off()):
        n, site = (torch.from_numpy(a)[:, None] for a in (part.sequence + first, part.site - start))
        raw[n, :, torch.from_numpy(part.new), site] = values.to(raw)
        between(len(part) * letters)


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor
