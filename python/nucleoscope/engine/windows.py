"""How an edit spreads forward through a layer and how a cone shrinks backward: integers only.

Every function takes plain integers or integer arrays alike (it uses nothing but arithmetic), so one
formula serves a single site and a whole batch of sites. Intervals are half open, ``[lo, hi)``.
Positions may lie outside the layer: clipping is the caller's business, because an unclipped window
moves with its site, which is what lets many sites share one shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Any

Int = Any  # int, or an integer array of any kind: the arithmetic is the same


@dataclass(frozen=True)
class Lattice:
    """The positions ``first + k * step`` of a layer; step 0: ``first`` alone."""

    first: int = 0
    step: int = 1

    @staticmethod
    def through(position: int, step: int) -> Lattice:
        """The lattice that holds this position, counted from its first one not below 0."""
        return Lattice(position % step if step else position, step)

    def join(self, other: Lattice) -> Lattice:
        """The coarsest lattice that holds both."""
        return Lattice.through(self.first, gcd(self.step, other.step, self.first - other.first))

    @property
    def cut(self) -> slice:
        """Its positions as a slice of the layer."""
        if self.step:
            return slice(self.first, None, self.step)
        return slice(self.first, self.first + 1) if self.first >= 0 else slice(0)

    def count(self, length: int) -> int:
        """How many positions of [0, length) it holds."""
        return len(range(length)[self.cut])

    def places(self, lo: int, hi: int) -> tuple[int, int]:
        """Which of its positions, counted from the first, lie in [lo, hi)."""
        if self.step:
            return -(-(lo - self.first) // self.step), (hi - 1 - self.first) // self.step + 1
        return (0, 1) if lo <= self.first < hi else (0, 0)

    def span(self, lo: int, hi: int) -> tuple[int, int]:
        """The positions from its lo-th to the one before its hi-th: their hull."""
        return self.first + lo * self.step, self.first + (hi - 1) * self.step + 1


WHOLE = Lattice()


def whole(length: int) -> Lattice:
    """All positions of a layer."""
    return Lattice(0, 0) if length == 1 else WHOLE


@dataclass(frozen=True)
class Stencil:
    """Output position o reads the inputs ``o * stride - pad + t * dilation`` for t in [0, taps)."""

    taps: int = 1
    stride: int = 1
    dilation: int = 1
    pad: int = 0

    def spread(self, lo: Int, hi: Int) -> tuple[Int, Int]:
        """The outputs that read any input in [lo, hi): the hull."""
        first = lo + self.pad - (self.taps - 1) * self.dilation
        return -(-first // self.stride), (hi - 1 + self.pad) // self.stride + 1

    def cone(self, lo: Int, hi: Int) -> tuple[Int, Int]:
        """The inputs that the outputs in [lo, hi) read: the hull."""
        first = lo * self.stride - self.pad
        last = (hi - 1) * self.stride - self.pad + (self.taps - 1) * self.dilation
        return first, last + 1

    def teeth(self, width: int) -> tuple[Stencil, ...]:
        """The stencils to spread one by one: a window narrower than the dilation leaves gaps.

        Where a stride may close a gap for some windows and not for others, it is none.
        """
        if width + self.stride <= self.dilation:
            pads = (self.pad - t * self.dilation for t in range(self.taps))
            return tuple(Stencil(stride=self.stride, pad=pad) for pad in pads)
        return (self,)

    def reads(self, made: Lattice) -> Lattice:
        """The inputs that the outputs on a lattice read."""
        step = gcd(made.step * self.stride, self.dilation if self.taps > 1 else 0)
        return Lattice.through(made.first * self.stride - self.pad, step)

    def between(self, made: Lattice, given: Lattice) -> Stencil:
        """The same reading where only these outputs are made, of these inputs, which hold all they read."""
        unit = given.step or 1
        first = (made.first * self.stride - self.pad - given.first) // unit
        stride = made.step * self.stride // unit or 1  # of one output any stride is right
        dilation = self.dilation // unit if self.taps > 1 else 1
        return Stencil(self.taps, stride, dilation, -first)


@dataclass(frozen=True)
class Mirror:
    """Output position o reads the input ``length - 1 - o``: a flip of the length axis."""

    length: int

    def spread(self, lo: Int, hi: Int) -> tuple[Int, Int]:
        """The outputs that read any input in [lo, hi)."""
        return self.length - hi, self.length - lo

    cone = spread

    def teeth(self, width: int) -> tuple[Mirror, ...]:  # noqa: ARG002 - same face as Stencil
        """A flip leaves no gaps."""
        return (self,)

    def reads(self, made: Lattice) -> Lattice:
        """The inputs that the outputs on a lattice read."""
        return Lattice.through(self.length - 1 - made.first, made.step)

    def between(self, made: Lattice, given: Lattice) -> Mirror:
        """The same flip where only these outputs are made, of the inputs that they read."""
        return Mirror((self.length - 1 - made.first - given.first) // (given.step or 1) + 1)


@dataclass(frozen=True)
class Sampling:
    """Output position o reads the inputs ``(o * step + first) // parts + t`` for t in [0, taps).

    Positions between those of the input: upsampling, resizing, transposed convolution.
    """

    parts: int  # outputs that `step` inputs become
    step: int = 1
    first: int = 0
    taps: int = 1

    def spread(self, lo: Int, hi: Int) -> tuple[Int, Int]:
        """The outputs that read any input in [lo, hi)."""
        begin = (lo - self.taps + 1) * self.parts - self.first
        end = hi * self.parts - self.first
        return -(-begin // self.step), -(-end // self.step)

    def cone(self, lo: Int, hi: Int) -> tuple[Int, Int]:
        """The inputs that the outputs in [lo, hi) read: the hull."""
        return self.source(lo), self.source(hi - 1) + self.taps

    def source(self, o: Int) -> Int:
        """The first input that an output position reads."""
        return (o * self.step + self.first) // self.parts

    def teeth(self, width: int) -> tuple[Sampling, ...]:  # noqa: ARG002 - same face as Stencil
        """Outputs between two inputs read both, or the nearer: no gaps."""
        return (self,)

    def reads(self, made: Lattice) -> Lattice:  # noqa: ARG002 - same face as Stencil
        """The inputs that the outputs on a lattice read: any, since its rules are not thinned."""
        return WHOLE

    def between(self, made: Lattice, given: Lattice) -> Sampling:  # noqa: ARG002 - same face
        """The same reading: its rules take and make every position."""
        return self


Reach = Stencil | Mirror | Sampling
SAME = Stencil()


def clip(lo: int, hi: int, length: int) -> tuple[int, int]:
    """[lo, hi) within [0, length); an empty interval is (0, 0)."""
    lo, hi = max(lo, 0), min(hi, length)
    return (lo, hi) if lo < hi else (0, 0)


def hull(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    """The smallest interval that holds both; an empty one counts for nothing."""
    if a[0] >= a[1]:
        return b
    if b[0] >= b[1]:
        return a
    return min(a[0], b[0]), max(a[1], b[1])
