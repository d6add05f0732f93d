"""What of the originals the edits at a stretch of sites look at, and the forward that makes no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nucleoscope.engine.values.cuts import Cut
from nucleoscope.engine.values.partial import Partial
from nucleoscope.engine.windows import clip, hull

if TYPE_CHECKING:
    from nucleoscope.engine.planning.plan import Plan


def looked_at(plan: Plan, start: int, end: int) -> dict[str, tuple[int, int]]:
    """Which positions of each kept node the edits at sites [start, end) look at: their hull."""
    kept = plan.kept
    held = dict.fromkeys(kept, (0, 0))
    length = plan.axes(plan.graph.edited).length
    coarsest = min((a for n in plan.order if (a := plan.length(n)) > 1), default=1)
    margin = 2 * -(-length // coarsest)  # a batch's rows are as wide as its widest site's,
    more = 2  # and by so many on a lattice, whose steps are not those of its layer
    start, end = clip(start - margin, end + margin, length)
    for name, rows in plan.rows(np.array([start]), end - start).items():
        if name == plan.graph.edited:
            continue
        rule, (lo, hi) = plan.rule(name), rows.hull
        at = (lo - more, hi + more)
        for index, read in enumerate(rule.reads):
            by = rule.looks(index)
            here = at if by is None else rule.reach(by).cone(*at)
            held[read] = hull(held[read], here)
    return {n: clip(*interval, kept[n].length) for n, interval in held.items()}


def partial_of(plan: Plan, start: int, end: int) -> Partial:
    """The original's forward where the edits at sites [start, end), and the request, read it."""
    held = plan.held(start, end)
    wanted: list[tuple[str, Cut | None]] = [
        (kept.name, Cut.of(kept.lattice, held[at])) for at, kept in plan.kept.items()
    ]
    wanted += [(name, None) for name in (*plan.whole(), *plan.steady)]
    wanted.append((plan.traced.output, plan.read))
    return Partial(plan.traced, wanted)
