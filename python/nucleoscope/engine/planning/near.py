"""Outputs near an edit: a reading that moves with its site, for models that go position by position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from torch import Tensor

from nucleoscope.engine.rows import Delta, Ints, Rows
from nucleoscope.engine.transfer import sent
from nucleoscope.engine.windows import Stencil

if TYPE_CHECKING:
    from nucleoscope.engine.graph import Graph

Span = tuple[int, int]


class NotNear(ValueError):
    """No output of this model lies at a base; the message says why."""


@dataclass(frozen=True)
class Near:
    """The outputs from `around` before an edit's first base to `around` behind it, of some channels."""

    channels: tuple[int, ...]
    around: int
    offset: int  # the base that the output's first position lies at

    @property
    def width(self) -> int:
        """Numbers an edit and channel."""
        return 2 * self.around + 1

    def cones(self, graph: Graph, order: list[str], output: str) -> dict[str, Span]:
        """What these outputs read of each layer, counted from the edit's first base.

        Raises NotNear where a layer is taken in steps: then that depends on the site.
        """
        low = -self.offset - self.around
        cones = {output: (low, low + self.width)}
        for name in reversed(order):
            rule = graph.nodes[name].rule
            assert rule is not None
            for index, source in enumerate(rule.inputs):
                reach = rule.reach(index)
                if not isinstance(reach, Stencil) or reach.stride != 1:
                    raise NotNear(f"{name} does not go position by position")
                if name in cones:
                    lo, hi = reach.cone(*cones[name])
                    before = cones.get(source, (lo, hi))
                    cones[source] = min(before[0], lo), max(before[1], hi)
        return cones

    def rows(self, sites: Ints, length: int) -> Rows:
        """The output's rows that are read, of edits that begin at these sites."""
        return Rows((sites - self.offset - self.around,), (self.width,), length)

    def of_delta(self, delta: Delta, sites: Ints) -> Tensor:
        """[S, E, T * width] of the output's delta; what lies beyond its ends is 0."""
        channels = sent(np.array(self.channels), delta.values.device)
        wanted = delta.on(self.rows(sites, delta.rows.length)).index_select(3, channels)
        return wanted.permute(1, 2, 3, 0).flatten(2)

    def of_values(self, rows: Tensor) -> Tensor:
        """The channels of whole outputs [N, L, C] -> [N, T, L]."""
        channels = sent(np.array(self.channels), rows.device)
        return rows.index_select(2, channels).mT


def clipped(
    pieces: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]],
    edit: tuple[Ints, Ints],
    cone: Span,
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Windows of a layer, cut to what is read near each site's edit; at least one piece is left."""
    low, high = edit[0] + cone[0], edit[1] - 1 + cone[1]
    cut = [(np.maximum(lo, low), np.minimum(hi, high)) for lo, hi in pieces]
    return [(lo, hi) for lo, hi in cut if (lo < hi).any()] or cut[:1]
