"""A checked request -> what pairs of substitutions do beyond their sum, where that costs less than the pairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.edits.groups import runs, stretches
from nucleoscope.engine.pairs.meeting import Meeting, Spans
from nucleoscope.engine.pairs.run import Pairs, known
from nucleoscope.engine.planning.batches import Mixed
from nucleoscope.engine.planning.load import window_work
from nucleoscope.engine.planning.plan import Plan
from nucleoscope.engine.prepare import Asked, forward, make_plan
from nucleoscope.engine.rows import Ints
from nucleoscope.engine.step import Edits
from nucleoscope.engine.tracing.opened import opened

# Of the multiply-adds of both edits as one, what a pair may come to by itself: additions to its layers cost, too.
WORTH = 0.6

Between = Callable[[int], None]  # hears how many pairs were done


def interactions(
    asked: Asked, read: Read, meets: npt.NDArray[np.bool_], between: Between
) -> Tensor | None:  # [N, A, S, A, S, T]
    """What any two substitutions of the asked sites do beyond their sum; 0 for sites that do not meet [S, S].

    None where a pair is better run as one edit: behind a seam, where windows have several pieces, where nearly
    all of them is shared, or where what single edits do to every layer is more than memory holds.

    Raises Untraceable where the model cannot be traced.
    """
    held = forward(asked, read)
    plain = make_plan(asked, held)
    plan = replace(plain, traced=opened(plain.traced))
    first, second = np.nonzero(np.triu(meets, 1))
    near = np.lexsort((first, second - first))  # neighbours share their windows' widths
    first, second = first[near], second[near]
    if not plan.local or held.untraced or len(stretches(plan)) > 1 or not len(first):
        return None
    windows = _windows(plan, asked)
    if windows is None or not _worth(plain, Meeting(plan, windows, first, second), asked):
        return None
    size, count = asked.sequences.size, asked.end - asked.start
    made: Tensor | None = None
    with torch.no_grad():
        for begin, run in runs(asked, held.forward, plan, stretches(plan), lambda *_: True):
            for own in range(len(run.output)):
                edits = _substitutions(asked, begin, own)
                for part, values in Pairs(run, edits, first, second).answers():
                    if made is None:
                        shape = (len(asked.sequences.letters), size, count, size, count)
                        made = values.new_zeros(*shape, values.shape[2], device="cpu")
                    _lay(made[begin + own], values.cpu(), edits.new, first[part], second[part])
                    between(values.shape[0] * values.shape[1])
    return made


def _windows(plan: Plan, asked: Asked) -> dict[str, Spans] | None:
    """Each layer's window of every site, where it is one piece."""
    sites = np.arange(asked.start, asked.end)
    try:
        windows = plan.spread.windows([(sites, sites + 1)])
    except Mixed:
        return None
    if any(len(pieces) > 1 for pieces in windows.values()):
        return None
    return {name: spans for name, (spans,) in windows.items()}


def _worth(plain: Plan, meeting: Meeting, asked: Asked) -> bool:
    """Whether pairs cost clearly less by themselves, and what single edits do can be held."""
    size = asked.sequences.size
    widths = {n: int((hi - lo).max()) for n, (lo, hi) in meeting.windows.items()}
    numbers = sum(
        widths[n] * meeting.plan.axes(n).channels for n in known(meeting.plan) & widths.keys()
    )
    each = numbers * size * meeting.plan.bytes_per_number
    if each * (asked.end - asked.start) > asked.memory // 4:
        return False
    alone, together = 0, 0
    for at in meeting.sample():
        one, two = (asked.start + sites[at : at + 1] for sites in meeting.sites)
        together += window_work(plain, plain.spread.rows([(one, one + 1), (two, two + 1)]))
        alone += meeting.work(slice(at, at + 1))
    return alone < WORTH * together


def _substitutions(asked: Asked, begin: int, own: int) -> Edits:
    """Every other letter at each asked site of a sequence; where one has none, every letter at each."""
    letters = asked.sequences.letters[begin + own, asked.start : asked.end]
    size = asked.sequences.size
    new = np.tile(np.arange(size), (len(letters), 1))
    if ((letters >= 0) & (letters < size)).all():
        new = new[new != letters[:, None]].reshape(len(letters), size - 1)
    site = np.arange(asked.start, asked.end)
    return Edits(np.full_like(site, own), site, letters, new, asked.sequences.ambiguous)


def _lay(into: Tensor, values: Tensor, new: Ints, first: Ints, second: Ints) -> None:
    """Put the values [K, E * E, T] of pairs of sites in both their places of [A, S, A, S, T]."""
    one, two = (torch.from_numpy(new[sites]) for sites in (first, second))
    i, j = (torch.from_numpy(sites)[:, None, None] for sites in (first, second))
    a, b = one[:, :, None], two[:, None, :]
    square = values.view(len(first), one.shape[1], two.shape[1], -1)
    into[a, i, b, j] = square
    into[b, j, a, i] = square
