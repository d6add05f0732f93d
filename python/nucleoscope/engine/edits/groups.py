"""Neighbouring sequences and stretches of sites at a time: as many as have room for their originals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.edits.run import AT_ONCE, Run
from nucleoscope.engine.memory import Halving
from nucleoscope.engine.planning.batch_size import Load
from nucleoscope.engine.planning.plan import Plan
from nucleoscope.engine.prepare import Asked
from nucleoscope.engine.step import AnyEdits
from nucleoscope.engine.transfer import sent
from nucleoscope.engine.values.forward import Forward

Wanted = Callable[
    [int, int, tuple[int, int]], bool
]  # sequences [first, last), at a stretch of sites


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


def stretches(plan: Plan) -> list[tuple[int, int]]:
    """The sites that can be seen, in stretches whose originals fit the budget."""
    start, end = plan.seen
    return plan.tiles(start, end) if start < end else [(start, start)]


def runs(
    asked: Asked, held: Forward, plan: Plan, tiles: list[tuple[int, int]], wanted: Wanted
) -> Iterator[tuple[int, Run]]:
    """Groups of sequences, and these stretches of sites, where there is something to do."""
    each = plan.original_bytes(*tiles[0]) + plan.forward_bytes()
    size, count = max(1, asked.memory // 2 // each), len(asked.sequences.letters)
    if plan.brief:  # few edits a sequence: memory that is used again costs less than as much of it
        size = min(size, max(1, AT_ONCE // plan.forward_bytes()))
    names = (held.graph.edited, *held.graph.others)

    def originals(group: Group, tile: tuple[int, int]) -> tuple[int, Run]:
        given = (
            _cast(t, asked.dtype).to(asked.device) for t in asked.part(group.first, group.last)
        )
        return group.first, Run(plan, held, dict(zip(names, given, strict=True)), tile)

    for first in range(0, count, size):
        for tile in tiles:
            last = min(first + size, count)
            if wanted(first, last, tile):
                make = partial(originals, tile=tile)
                halving = Halving(make, asked.device, "one sequence's original")
                yield from halving(Group(first, last))


def answers(
    run: Run, edits: AnyEdits, read: Read | None, before: Tensor, load: Load | None = None
) -> Iterator[tuple[slice, Tensor]]:
    """The changes [S, E, T] of a group's edits, batch by batch; NaN where a delta was lost.

    `read` where whole outputs come back; `before` are the group's originals [N, T].
    """
    for batch in run.batches(edits, load):
        values = batch.values
        if read is not None:
            part = edits.part(batch.sites)
            own = before[sent(part.sequence, before.device)][:, None]
            values = read(values.flatten(0, 1)).view(*part.shape, -1) - own
        yield batch.sites, values.masked_fill(batch.lost[..., None], torch.nan)


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor
