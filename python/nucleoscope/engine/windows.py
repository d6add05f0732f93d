"""How an edit spreads forward through a layer and how a cone shrinks backward: integers only.

Every function takes plain integers or integer arrays alike (it uses nothing but arithmetic), so one
formula serves a single site and a whole batch of sites. Intervals are half open, ``[lo, hi)``.
Positions may lie outside the layer: clipping is the caller's business, because an unclipped window
moves with its site, which is what lets many sites share one shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Int = Any  # int, or an integer array of any kind: the arithmetic is the same


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
        """The stencils to spread one by one: a window narrower than the dilation leaves gaps."""
        if self.stride == 1 and width < self.dilation:
            return tuple(Stencil(pad=self.pad - t * self.dilation) for t in range(self.taps))
        return (self,)


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
