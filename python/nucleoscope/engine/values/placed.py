"""Where a convolution is made: which positions it reads of those that are there, and its steps among them."""

from __future__ import annotations

from dataclasses import dataclass

from nucleoscope.engine.values.cuts import Cut
from nucleoscope.engine.windows import Stencil

ALL = slice(None)


@dataclass(frozen=True)
class Placed:
    """A convolution over the length from some positions to some others."""

    read: slice  # of what it is given
    joined: slice  # of the residual, those that are added
    stride: int
    dilation: int
    before: int  # positions in front of what is read, which are zero
    behind: int  # and behind it
    length: int  # of what it makes

    @staticmethod
    def whole(reach: Stencil, length: int) -> Placed:
        """All of it, `length` positions, from all that it is given."""
        pad = reach.pad
        return Placed(ALL, ALL, reach.stride, reach.dilation, pad, pad, length)

    def count(self, positions: int) -> int:
        """How many it reads of so many."""
        return len(range(*self.read.indices(positions)))


def placed(reach: Stencil, made: Cut, given: Cut, length: int, residual: Cut) -> Placed | None:
    """What makes the positions `made`, of a value of this length that is there at `given`; None: it reads none."""
    wanted = made.read(reach)
    inside = wanted.within(length)
    if not inside.count:
        return None
    steps = wanted.stencil(made, reach)
    before = (inside.first - wanted.first) // wanted.step
    return Placed(
        _of(given, inside), _of(residual, made), steps.stride, steps.dilation, before,
        wanted.count - inside.count - before, made.count,
    )  # fmt: skip


def _of(there: Cut, wanted: Cut) -> slice:
    return ALL if there == wanted else there.index(wanted)
