"""A layer of edited sequences that is looked up: what it was, moved, and what was made anew of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from nucleoscope.engine.graph import Axes
from nucleoscope.engine.rows import Ints, uniform
from nucleoscope.engine.transfer import sent


@dataclass(frozen=True)
class Letters:
    """The edited sequences themselves, as rows at any positions [B, W] -> [B, W, A]."""

    axes: Axes
    columns: Callable[[Ints], Tensor]

    def at(self, start: Ints, width: int, step: int = 1, fill: float = 0.0) -> Tensor:
        """As the model takes them, at these positions; beyond the ends `fill`."""
        return laid(self.rows(start, width, step, fill), self.axes)

    def rows(self, start: Ints, width: int, step: int = 1, fill: float = 0.0) -> Tensor:
        """The same as rows [B, width, A]."""
        at = start[:, None] + step * np.arange(width)
        return _bounded(self.columns(at), at, self.axes, fill)


@dataclass(frozen=True)
class Piece:
    """Positions of a layer that were made anew, as many for every edit of a batch."""

    start: Ints  # [B]
    width: int
    value: Tensor  # as the model lays it out, [B, ..., width, ...]

    def put(self, made: Tensor, axes: Axes, start: Ints, step: int) -> None:
        """Write it into rows [B, W, C] that lie from `start` on."""
        rows, apart, width = as_rows(self.value, axes), uniform(self.start - start), made.shape[1]
        if step == 1 and apart is not None:
            low, high = max(apart, 0), min(apart + self.width, width)
            if low < high:
                made[:, low:high] = rows[:, low - apart : high - apart]
            return
        index = start[:, None] + step * np.arange(width) - self.start[:, None]
        edit, row = np.nonzero((index >= 0) & (index < self.width))
        to = sent(edit * width + row, made.device)
        of = sent(edit * self.width + index[edit, row], made.device)
        made.flatten(0, 1).index_copy_(0, to, rows.flatten(0, 1).index_select(0, of))


@dataclass(frozen=True)
class Layer:
    """One layer for a batch of edits."""

    axes: Axes
    sequence: Ints  # [B]
    border: Ints  # [B] before it lies what was left of the edit, behind it what was right of it
    shifts: tuple[Ints, Ints]  # [B] by how many positions each of them moved
    held: (
        Tensor | None
    )  # originals as rows [N, count, C]; None where no more than the pieces is read
    first: int  # their first position
    pieces: tuple[Piece, ...]

    def at(self, start: Ints, width: int, step: int = 1, fill: float = 0.0) -> Tensor:
        """The edited layer at these positions, as the model lays it out; beyond its ends `fill`."""
        for piece in self.pieces:
            if step == 1 and width == piece.width and np.array_equal(start, piece.start):
                return piece.value
        return laid(self.rows(start, width, step, fill), self.axes)

    def rows(self, start: Ints, width: int, step: int = 1, fill: float = 0.0) -> Tensor:
        """The same as rows [B, width, C]."""
        assert self.held is not None
        count, channels = self.held.shape[1:]
        at = start[:, None] + step * np.arange(width)
        left, right = (shift[:, None] for shift in self.shifts)
        source = at - np.where(at < self.border[:, None], left, right)
        flat = (source - self.first).clip(0, count - 1) + self.sequence[:, None] * count
        where = sent(flat.reshape(-1), self.held.device)
        made = self.held.flatten(0, 1).index_select(0, where).view(len(start), width, channels)
        for piece in self.pieces:
            piece.put(made, self.axes, start, step)
        return _bounded(made, at, self.axes, fill)


def as_rows(value: Tensor, axes: Axes) -> Tensor:
    """A value of some positions, [B, ..., W, ...], as rows [B, W, C]."""
    cube = value.reshape(len(value), axes.left, -1, axes.right)
    return cube.transpose(1, 2).reshape(len(value), -1, axes.channels)


def laid(rows: Tensor, axes: Axes) -> Tensor:
    """Rows [B, W, C] as the model lays them out."""
    many, width = rows.shape[:2]
    assert axes.dim is not None
    shape = (*axes.shape[: axes.dim], width, *axes.shape[axes.dim + 1 :])
    return rows.view(many, width, axes.left, axes.right).transpose(1, 2).reshape(many, *shape)


def _bounded(rows: Tensor, at: Ints, axes: Axes, fill: float) -> Tensor:
    beyond = np.flatnonzero((at < 0) | (at >= axes.length))
    if len(beyond):  # by index, so that only these rows are touched
        rows.flatten(0, 1).index_fill_(0, sent(beyond, rows.device), fill)
    return rows
