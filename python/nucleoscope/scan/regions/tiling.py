"""A chromosome in windows that one call takes, each reporting bases of its own, so that they join."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import lcm
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Tiling:
    """Cell k of a chromosome is its bases [k * cell, (k + 1) * cell); one window reports them.

    The grid does not depend on the regions that are asked for, so neither does any score.
    """

    cell: int
    left: int  # bases before the cell that its window holds
    right: int  # and behind it
    joined: bool  # windows end with the chromosome, and join exactly; else all are of one length, N beyond
    step: int = (
        1  # joined windows end so many bases before the chromosome's end, or a multiple of it
    )

    def pieces(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """[start, end) cut where cells meet."""
        while start < end:
            stop = min(end, (start // self.cell + 1) * self.cell)
            yield start, stop
            start = stop

    def window(self, site: int, size: int) -> tuple[int, int]:
        """The bases that the window of this site's cell holds, of a chromosome of `size`."""
        first = site // self.cell * self.cell
        lo, hi = first - self.left, first + self.cell + self.right
        hi += (size - hi) % self.step
        return (max(lo, 0), min(hi, size)) if self.joined else (lo, hi)

    def whole(self, lo: int, hi: int, size: int) -> bool:
        """Whether a window [lo, hi) is all of a chromosome that is shorter than what a base's scores depend on."""
        return self.joined and (lo, hi) == (0, size) and size <= self.left + self.right

    def __str__(self) -> str:
        how = "join exactly" if self.joined else "are of one length, whatever lies beyond unseen"
        return (
            f"each window reports {self.cell:,} bases and holds {self.left:,} before and "
            f"{self.right:,} behind them; windows {how}"
        )


def exact_tiling(
    models: Sequence[nn.Module],
    X: Tensor,
    cell: int,
    both_strands: bool,
    shift: int,
    sides: Sequence[Mapping[str, Any]],
) -> Tiling:
    """Halos from the plans for X, one sequence: windows of local models that join exactly.

    `sides` are the parameters of a plan: one for each target that is asked about, the other strand's too.
    Everything is rounded up to the models' stride. On the other strand a base's halos are the other way round,
    and windows begin where the chromosome's mirror image has a phase of the stride; sequences that are moved by
    up to `shift` bases lose so many at an end. Raises ValueError where scores depend on the whole sequence,
    saying why.
    """
    import nucleoscope

    try:
        found = [nucleoscope.plan(m, X, **asked).context for m in models for asked in sides]
    except (ValueError, nucleoscope.Untraceable) as error:
        why = str(error).rstrip(".")
        raise ValueError(
            f"this model cannot be tiled exactly: {why}. Give window= and report=: the length that it takes, "
            "and which bases of a window are reported."
        ) from error
    stride = lcm(*(each.stride for each in found))
    left, right = (max(sides) for sides in zip(*((c.left, c.right) for c in found), strict=True))
    if both_strands:
        left = right = max(left, right)
    cell, left = (-(-n // stride) * stride for n in (max(cell, 1), left + shift))
    return Tiling(cell, left, right + shift, True, stride if both_strands else 1)


def fixed_tiling(window: int, report: tuple[int, int] | None) -> Tiling:
    """Windows of one length that report their bases [a, b); all of them without `report`."""
    first, last = report or (0, window)
    if not 0 <= first < last <= window:
        raise ValueError(
            f"report={report}: bases [a, b) of a window of {window:,}, with 0 <= a < b <= {window:,}"
        )
    return Tiling(last - first, first, window - last, joined=False)
