"""Some positions of a layer, evenly spaced, and which of its inputs' an op needs for them: integers only."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from nucleoscope.engine.windows import Lattice, Mirror, Reach, Sampling, Stencil


@dataclass(frozen=True)
class Cut:
    """The positions ``first + k * step`` of a layer for k in [0, count)."""

    first: int
    step: int
    count: int

    def __post_init__(self) -> None:
        if self.count == 1:  # one position is the same one whatever the step
            object.__setattr__(self, "step", 1)

    @staticmethod
    def whole(length: int) -> Cut:
        """All positions of a layer."""
        return Cut(0, 1, length)

    @staticmethod
    def of(lattice: Lattice, places: tuple[int, int]) -> Cut:
        """The lattice's positions from its places[0]-th to the one before its places[1]-th."""
        lo, hi = places
        return Cut(lattice.first + lo * lattice.step, lattice.step or 1, hi - lo)

    @property
    def last(self) -> int:
        """Its last position."""
        return self.first + (self.count - 1) * self.step

    def join(self, other: Cut) -> Cut:
        """The fewest evenly spaced positions that hold both."""
        if 0 in (self.count, other.count):
            return self if self.count else other
        return _between(
            min(self.first, other.first),
            max(self.last, other.last),
            gcd(self._gap, other._gap, self.first - other.first),
        )

    def within(self, length: int) -> Cut:
        """Those of its positions that the layer has."""
        before = max(0, -(self.first // self.step))
        beyond = max(0, (self.last - length) // self.step + 1)
        return Cut(self.first + before * self.step, self.step, max(0, self.count - before - beyond))

    def index(self, wanted: Cut) -> slice:
        """Where wanted positions, all of them among these, lie among these."""
        start, step = (wanted.first - self.first) // self.step, max(1, wanted.step // self.step)
        return slice(start, start + (wanted.count - 1) * step + 1, step)

    def read(self, reach: Reach) -> Cut:
        """The inputs that these outputs read; some may lie beyond the layer's ends."""
        assert not isinstance(reach, Sampling)
        if isinstance(reach, Mirror):
            return Cut(reach.length - 1 - self.last, self.step, self.count)
        first, last = (o * reach.stride - reach.pad for o in (self.first, self.last))
        gap = gcd(self._gap * reach.stride, reach.dilation if reach.taps > 1 else 0)
        return _between(first, last + (reach.taps - 1) * reach.dilation, gap)

    def stencil(self, made: Cut, reach: Stencil) -> Stencil:
        """The same reading, from the first of these positions on, which are all that is read and no other."""
        stride = made.step * reach.stride // self.step if made.count > 1 else 1
        dilation = reach.dilation // self.step if reach.taps > 1 else 1
        return Stencil(reach.taps, stride, dilation)

    @property
    def _gap(self) -> int:
        return self.step if self.count > 1 else 0


def _between(first: int, last: int, gap: int) -> Cut:
    step = gap or 1
    return Cut(first, step, (last - first) // step + 1)
