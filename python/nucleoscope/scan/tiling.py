"""A chromosome in windows that one call takes, each reporting bases of its own, so that they join."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
        return (max(lo, 0), min(hi, size)) if self.joined else (lo, hi)

    def __str__(self) -> str:
        how = "join exactly" if self.joined else "are of one length, whatever lies beyond unseen"
        return (
            f"each window reports {self.cell:,} bases and holds {self.left:,} before and "
            f"{self.right:,} behind them; windows {how}"
        )


def exact_tiling(model: nn.Module, X: Tensor, cell: int, **parameters: object) -> Tiling:
    """Halos from the plan for X, one sequence: windows of a local model that join exactly.

    Everything is rounded up to the model's stride. Raises ValueError where scores depend on the whole
    sequence, saying why.
    """
    import nucleoscope

    try:
        found = nucleoscope.plan(model, X, **parameters).context  # type: ignore[arg-type]
    except (ValueError, nucleoscope.Untraceable) as error:
        why = str(error).rstrip(".")
        raise ValueError(
            f"this model cannot be tiled exactly: {why}. Give window= and report=: the length that it takes, "
            "and which bases of a window are reported."
        ) from error
    cell, left = (-(-n // found.stride) * found.stride for n in (max(cell, 1), found.left))
    return Tiling(cell, left, found.right, joined=True)


def fixed_tiling(window: int, report: tuple[int, int] | None) -> Tiling:
    """Windows of one length that report their bases [a, b); all of them without `report`."""
    first, last = report or (0, window)
    if not 0 <= first < last <= window:
        raise ValueError(
            f"report={report}: bases [a, b) of a window of {window:,}, with 0 <= a < b <= {window:,}"
        )
    return Tiling(last - first, first, window - last, joined=False)
