"""A checked request and a table of edits -> the raw change of every target by each edit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.answers.target import Target
from nucleoscope.engine.edits.groups import answers, runs, stretches
from nucleoscope.engine.edits.run import Run
from nucleoscope.engine.edits.table import Job, Table, jobs
from nucleoscope.engine.planning.plan import Plan
from nucleoscope.engine.prepare import Asked, forward, make_plan
from nucleoscope.engine.rows import Rows
from nucleoscope.engine.step import AnyEdits
from nucleoscope.engine.transfer import landed

# Multiply-adds in windows, in forwards, from which on one in float64 is little beside them.
MUCH = 8

Between = Callable[[int], None]  # hears how many edits were done
Span = tuple[int, int]


@dataclass(frozen=True)
class Edited:
    """What the edits of a table do, and what they were measured from."""

    raw: Tensor  # [M, T] on the CPU
    original: Tensor  # [N, T]
    exact: bool  # deltas all the way: no two outputs were subtracted
    local: bool  # no tail was run
    repeated: int = 0  # edits made once more in float64
    untraced: str = ""  # why `func` is given whole outputs, if it is
    brief: bool = False  # whether the originals were made in float32
    more: Tensor | None = None  # of a table of pairs: what each does beyond its two edits alone


def edited(
    asked: Asked, read: Read, table: Table, between: Between, double: bool = False
) -> Edited:
    """All edits of a table, each by itself; raises Untraceable where the model cannot be traced.

    The sites asked for hold all that is edited. What float32 loses is made once more in float64. Originals
    are made in float64 where there are many edits a sequence, or where `double` asks for it.
    """
    found = _pass(asked, read, table, between, None, double)
    lost = found.raw.isnan().any(1).numpy()
    if asked.dtype == torch.float64 or not lost.any():
        return found
    finer = replace(asked, dtype=torch.float64, precision="fp64")
    again = _pass(finer, read, table.part(lost), lambda _edits: None, found)
    found.raw[torch.from_numpy(lost)] = again.raw.to(found.raw)
    return replace(found, repeated=int(lost.sum()))


def table_plan(asked: Asked, read: Read, table: Table) -> Plan:
    """The plan for a table of edits; the sites asked for hold all of them."""
    letters = asked.sequences.letters
    made = jobs(table.part(table.changing(letters)), letters, asked.sequences.ambiguous)
    shapes = Counter[tuple[int, ...]]()
    edits = Counter[tuple[int, ...]]()
    for job in made:
        widths = tuple(int((hi - lo)[0]) for lo, hi in job.edits.pieces)
        shapes[widths] += len(job.edits)
        edits[widths] += job.numbers.size
    most = max((job.numbers.shape[1] for job in made), default=1)
    told = tuple((widths, count, edits[widths]) for widths, count in shapes.items())
    return replace(make_plan(asked, forward(asked, read)), letters=most, shapes=told)


def _pass(
    asked: Asked, read: Read, table: Table, between: Between, found: Edited | None, double: bool = True
) -> Edited:  # fmt: skip
    held = forward(asked, read)
    made = jobs(
        table.part(table.changing(asked.sequences.letters)),
        asked.sequences.letters,
        asked.sequences.ambiguous,
    )
    most = max((job.numbers.shape[1] for job in made), default=1)
    plan = replace(make_plan(asked, held), letters=most)
    loads = [plan.load(job.edits.pieces, job.numbers.shape[1]) for job in made]
    if not double and plan.local and asked.short_sums:
        forwards = len(asked.sequences.letters) * held.forward.work
        in_windows = sum(len(job.edits) * load.work for job, load in zip(made, loads, strict=True))
        plan = replace(plan, brief=in_windows < MUCH * forwards)
    changing = np.flatnonzero(table.changing(asked.sequences.letters))
    whole, target = read if held.untraced else None, held.leaves.target()
    tiles = _tiles(plan, made)
    raw: Tensor | None = None
    originals: dict[int, Tensor] = {}
    with torch.no_grad():

        def wanted(first: int, last: int, tile: Span) -> bool:
            some = any(_within(job.edits, plan, tiles, first, last, tile).any() for job in made)
            return some or (found is None and tile == tiles[0])

        for first, run in runs(asked, held.forward, plan, tiles, wanted):
            before = _read(run, whole, target)
            if raw is None:
                near = plan.near
                wide = near.width * len(near.channels) if near else before.shape[1]
                raw = before.new_zeros(len(table), wide, device="cpu")
            originals[first] = before.cpu()
            for job, load in zip(made, loads, strict=True):
                chosen = _within(job.edits, plan, tiles, first, first + len(before), run.sites)
                mine = job.part(chosen, first)
                for sites, values in landed(answers(run, mine.edits, whole, before, load)):
                    numbers = torch.from_numpy(changing[mine.numbers[sites]])
                    raw[numbers] = values.to(raw)
                    between(numbers.numel())
    assert raw is not None
    exact = plan.local and whole is None
    if found is not None:
        return replace(found, raw=raw)
    original = torch.cat([originals[first] for first in sorted(originals)])
    return Edited(raw, original, exact, plan.local, untraced=held.untraced, brief=plan.brief)


def _read(run: Run, whole: Read | None, target: Target) -> Tensor:
    """What is asked of a group's originals: [N, T], or of outputs near edits all positions [N, T * L]."""
    if run.plan.near is not None:
        rows = run.plan.output_axes.rows(run.output)
        return run.plan.near.of_values(rows).flatten(1)
    return whole(run.output) if whole else target.of_values(run.output)


def _tiles(plan: Plan, made: list[Job]) -> list[Span]:
    """The stretches of sites; one more over all of them where an edit lies across two."""
    tiles = stretches(plan)
    if len(tiles) == 1:
        return tiles
    across = any((_tile(job.edits, plan, tiles) == len(tiles)).any() for job in made)
    return [*tiles, plan.seen] if across else tiles


def _tile(edits: AnyEdits, plan: Plan, tiles: list[Span]) -> npt.NDArray[np.int64]:
    """The first stretch that holds all of a place that can be seen; -1 where nothing of it can."""
    pieces = edits.pieces
    start, end = plan.seen
    low = np.maximum(pieces[0][0], start)
    high = np.minimum(pieces[-1][1], end)
    first = np.full(len(edits), len(tiles), dtype=np.int64)
    for at in reversed(range(len(tiles))):
        first[(low >= tiles[at][0]) & (high <= tiles[at][1])] = at
    first[low >= high] = -1
    return first


def _within(
    edits: AnyEdits, plan: Plan, tiles: list[Span], first: int, last: int, tile: Span
) -> npt.NDArray[np.bool_]:
    """Which places lie on sequences [first, last) and belong to a stretch of sites."""
    inside = (edits.sequence >= first) & (edits.sequence < last)
    chosen: npt.NDArray[np.bool_] = inside & (_tile(edits, plan, tiles) == tiles.index(tile))
    return chosen


def apart(asked: Asked, read: Read, start: int, end: int) -> npt.NDArray[np.bool_]:
    """Which two sites [S, S] of a range are proved not to interact, in any layer that is not linear.

    A layer that looks at no original is linear in its delta. Behind a seam, and in a `func` that is not
    traced, everything may interact.
    """
    count = end - start
    held = forward(asked, read)
    plan = make_plan(replace(asked, start=start, end=end), held)
    if not plan.local or held.untraced:
        return np.zeros((count, count), dtype=np.bool_)
    bent = [name for name in plan.order if plan.rule(name).reads]
    windows = [plan.rows(np.array([site])) for site in range(start, end)]
    meets = np.zeros((count, count), dtype=np.bool_)
    for name in bent:
        covered = [_covered(rows, name) for rows in windows]
        for one, mine in enumerate(covered):
            for lo, hi in mine:
                for two, other in enumerate(covered[: one + 1]):
                    meets[one, two] |= any(lo < b and a < hi for a, b in other)
    never: npt.NDArray[np.bool_] = ~(meets | meets.T)
    return never


def _covered(rows: dict[str, Rows], name: str) -> list[Span]:
    """What the window of one site covers of a layer."""
    if name not in rows:
        return []
    held = rows[name]
    return [(int(at[0]), int(at[0]) + w) for at, w in zip(held.starts, held.widths, strict=True)]
