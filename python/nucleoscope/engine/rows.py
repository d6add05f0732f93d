"""The rows of one layer that a batch of edits keeps: per site the same widths, each at its own start."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nucleoscope import ops
from nucleoscope.engine.transfer import sent

Ints = npt.NDArray[np.int64]
Pieces = list[tuple[Ints, Ints]]  # intervals (lo, hi) of many sites, each [S]


@dataclass(frozen=True)
class Rows:
    """Window of one layer for S sites: piece j covers ``[starts[j][s], starts[j][s] + widths[j])``.

    The pieces of a site do not overlap. Rows may lie outside ``[0, length)``: deltas there are zero.
    """

    starts: tuple[Ints, ...]  # per piece [S]
    widths: tuple[int, ...]  # per piece
    length: int

    @property
    def width(self) -> int:
        """Rows per site, all pieces together."""
        return sum(self.widths)

    @property
    def sites(self) -> int:
        """Number of sites S."""
        return len(self.starts[0])

    @property
    def hull(self) -> tuple[int, int]:
        """The smallest interval that holds all rows of all sites."""
        ends = zip(self.starts, self.widths, strict=True)
        return min(int(s.min()) for s in self.starts), max(int(s.max()) + w for s, w in ends)

    def part(self, sites: slice) -> Rows:
        """The rows of some of the sites."""
        return Rows(tuple(start[sites] for start in self.starts), self.widths, self.length)

    @cached_property
    def for_ops(self) -> ops.Rows:
        """The same rows as the ops take them."""
        starts = self.starts[0][None] if len(self.starts) == 1 else np.stack(self.starts)
        return ops.Rows(torch.from_numpy(starts), self.widths)

    @cached_property
    def positions(self) -> Ints:
        """Layer position of every row, [W, S]."""
        return np.concatenate(
            [np.arange(w)[:, None] + s for s, w in zip(self.starts, self.widths, strict=True)]
        )

    @cached_property
    def outside(self) -> npt.NDArray[np.bool_] | None:
        """Which rows [W, S] lie beyond the layer's ends; None where none does."""
        ends = zip(self.starts, self.widths, strict=True)
        if all(s.min() >= 0 and s.max() + w <= self.length for s, w in ends):
            return None
        return (self.positions < 0) | (self.positions >= self.length)

    def find(self, positions: Ints) -> Ints:
        """Row index of each position [W', S] within its site's rows; -1 where it is not kept."""
        index = np.full(positions.shape, -1, dtype=np.int64)
        base = 0
        for start, width in zip(self.starts, self.widths, strict=True):
            relative = positions - start
            hit = (relative >= 0) & (relative < width)
            index[hit] = relative[hit] + base
            base += width
        return index

    def targets(self, many: int, left: int) -> Ints:
        """Flat index into [S, E, left, L] of a delta [W, S, E, left]; rows beyond the ends hold zeros."""
        position = np.clip(self.positions, 0, self.length - 1)[:, :, None, None]
        edit = np.arange(self.sites)[:, None] * many + np.arange(many)
        cell = edit[:, :, None] * left + np.arange(left)
        flat: Ints = (cell * self.length + position).reshape(-1)
        return flat

    def same(self, other: Rows) -> bool:
        """Whether both keep the same rows in the same order."""
        return self is other or (
            self.widths == other.widths
            and all(np.array_equal(a, b) for a, b in zip(self.starts, other.starts, strict=True))
        )

    def shift(self, other: Rows) -> int | None:
        """Where other's first row lies in these rows, if both are one piece and all sites agree."""
        if len(self.starts) != 1 or len(other.starts) != 1:
            return None
        return uniform(other.starts[0] - self.starts[0])


@dataclass(frozen=True)
class Delta:
    """Edited minus original activation on the kept rows: values [W, S, E, C]."""

    rows: Rows
    values: Tensor

    def on(self, rows: Rows) -> Tensor:
        """The same delta on other rows, zero where it is not kept; a view where that is possible."""
        if self.rows.same(rows):
            return self.values
        shift = self.rows.shift(rows)
        if shift is None:
            return gather(self.values, self.rows.find(rows.positions))
        return cut(self.values, shift, rows.width)


def uniform(offsets: Ints) -> int | None:
    """The one value of all offsets, or None."""
    first = int(offsets[0])
    return first if (offsets == first).all() else None


def cut(values: Tensor, first: int, width: int) -> Tensor:
    """Rows [first, first + width) of values, zero beyond its ends."""
    lo, hi = max(first, 0), min(first + width, len(values))
    if lo == first and hi == first + width:
        return values[lo:hi]
    out = values.new_zeros((width, *values.shape[1:]))
    if lo < hi:
        out[lo - first : hi - first] = values[lo:hi]
    return out


def gather(values: Tensor, index: Ints) -> Tensor:
    """values [W, S, E, C] at row index [W', S] of each site; zero where the index is -1."""
    w, s, e, c = values.shape
    flat = sent(np.maximum(index, 0) * s + np.arange(s), values.device)
    out = values.reshape(w * s, e * c).index_select(0, flat.view(-1)).view(*index.shape, e, c)
    return fill_rows(out, index < 0, 0.0)


def fill_rows(values: Tensor, rows: npt.NDArray[np.bool_], number: float) -> Tensor:
    """Put a number into the marked rows [W, S] of values [W, S, E, C], in place."""
    marked = np.flatnonzero(rows)
    if len(marked):  # by index, so that only these rows are touched
        values.flatten(0, 1).index_fill_(0, sent(marked, values.device), number)
    return values


def zero_outside(values: Tensor, rows: Rows) -> Tensor:
    """Positions beyond the layer's ends do not exist: their delta is zero. In place."""
    return values if rows.outside is None else fill_rows(values, rows.outside, 0.0)
