"""A checked request -> the raw change of every target by every substitution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.edits.groups import answers, runs, stretches
from nucleoscope.engine.edits.run import Run
from nucleoscope.engine.prepare import Asked, forward, make_plan, substitutions
from nucleoscope.engine.step import Edits
from nucleoscope.engine.transfer import landed

Between = Callable[[int], None]  # hears how many edits were done


@dataclass(frozen=True)
class Changes:
    """What the edits do, and what they were measured from."""

    raw: Tensor  # [N, T, A, sites] on the CPU; 0 at the letter that stands there
    original: Tensor  # [N, T]
    exact: bool  # deltas all the way: no two outputs were subtracted
    local: bool  # no tail was run
    repeated: int = 0  # edits made once more in float64
    untraced: str = ""  # why `func` was given whole outputs


def by_deltas(
    asked: Asked, read: Read, between: Between, found: Changes | None = None,
    chosen: npt.NDArray[np.bool_] | None = None,
) -> Changes:  # fmt: skip
    """All substitutions at the asked sites; raises Untraceable where the model cannot be traced.

    Of what was found already, those at the chosen ones [N, sites] are put in its place. Edits whose deltas
    are lost to float32's rounding (a LayerNorm whose variance collapses) are made once more, in float64.
    """
    edits = substitutions(asked.sequences, asked.start, asked.end)
    if chosen is not None:
        edits = [job.part(chosen[job.sequence, job.site - asked.start]) for job in edits]
    before = 0 if found is None else found.repeated
    found = _pass(asked, read, edits, between, found)
    lost = found.raw.isnan().any(1).any(1).numpy()  # [N, sites]
    if asked.dtype == torch.float64 or not lost.any():
        return found
    finer = replace(asked, dtype=torch.float64, precision="fp64")
    again = [job.part(lost[job.sequence, job.site - asked.start]) for job in edits]
    return replace(
        _pass(finer, read, again, lambda _edits: None, found),
        repeated=before + sum(job.new.size for job in again),
    )


def _pass(
    asked: Asked, read: Read, edits: list[Edits], between: Between, found: Changes | None
) -> Changes:
    """The changes by these edits in one number type, put into those that are there already."""
    held = forward(asked, read)
    plan = make_plan(asked, held)
    raw = None if found is None else found.raw
    originals: dict[int, Tensor] = {}
    whole = read if held.untraced else None
    target = held.leaves.target()

    def wanted(first: int, last: int, tile: tuple[int, int]) -> bool:
        return found is None or any(len(job.within(first, last, *tile)) for job in edits)

    with torch.no_grad():
        for first, run in runs(asked, held.forward, plan, stretches(plan), wanted):
            before = whole(run.output) if whole else target.of_values(run.output)
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
    if found is not None:
        return found
    original = torch.cat([originals[first] for first in sorted(originals)])
    return Changes(raw, original, plan.local and whole is None, plan.local, untraced=held.untraced)


def _fill(
    raw: Tensor, run: Run, edits: Edits, first: int, start: int,
    read: Read | None, before: Tensor, between: Between,
) -> None:  # fmt: skip
    """Run a group's edits and put each change in its place; `read` where whole outputs come back."""
    letters = edits.shape[1]
    for sites, values in landed(answers(run, edits, read, before)):
        part = edits.part(sites)
        n, site = (torch.from_numpy(a)[:, None] for a in (part.sequence + first, part.site - start))
        raw[n, :, torch.from_numpy(part.new), site] = values.to(raw)
        between(len(part) * letters)
