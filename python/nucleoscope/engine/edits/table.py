"""Edits as rows, any number of letters each, and the batches' worth of places that share one shape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from nucleoscope.engine.rows import Ints
from nucleoscope.engine.step import AnyEdits, Blocks, Edits

# Letters an edit leaves alone between two that it changes, up to which both are one piece.
JOINED = 3

# Pieces of one edit, at most; nearer ones are joined until there are no more.
PIECES = 8

# Edits of one place that go through the layers together: more would be a batch of their own.
TOGETHER = 16


@dataclass(frozen=True)
class Table:
    """M edits: edit m puts letters at some positions of the sequence `sequence[m]`.

    Letters are columns of the alphabet, -1 an all-zero column; those from A on are ambiguous columns
    of the input.
    """

    sequence: Ints  # [M]
    edit: Ints  # [K] which edit, ascending
    position: Ints  # [K] ascending within an edit, no position twice
    letter: Ints  # [K]

    def __len__(self) -> int:
        return len(self.sequence)

    @staticmethod
    def of(sequence: Ints, edit: Ints, position: Ints, letter: Ints) -> Table:
        """The same rows in order."""
        order = np.lexsort((position, edit))
        return Table(sequence, edit[order], position[order], letter[order])

    def part(self, chosen: npt.NDArray[np.bool_]) -> Table:
        """Some of the edits, renumbered."""
        kept = chosen[self.edit]
        number = np.cumsum(chosen) - 1
        return Table(
            self.sequence[chosen], number[self.edit[kept]], self.position[kept], self.letter[kept]
        )

    def rows(self, edit: int) -> tuple[Ints, Ints]:
        """The positions of one edit, and the letters it puts there."""
        first, last = np.searchsorted(self.edit, [edit, edit + 1])
        return self.position[first:last], self.letter[first:last]

    def changing(self, letters: Ints) -> npt.NDArray[np.bool_]:
        """Which edits [M] change any letter of these sequences [N, L]."""
        differs = letters[self.sequence[self.edit], self.position] != self.letter
        return np.bincount(self.edit, weights=differs, minlength=len(self)) > 0


@dataclass(frozen=True)
class Job:
    """Places of one shape, and which edit of the table is which of theirs."""

    edits: AnyEdits
    numbers: Ints  # [S, E]

    def part(self, chosen: npt.NDArray[np.bool_], first: int) -> Job:
        """Some of the places, sequences counted from `first`."""
        return Job(self.edits.part(chosen).from_sequence(first), self.numbers[chosen])


def jobs(table: Table, letters: Ints, ambiguous: Tensor) -> list[Job]:
    """The edits of a table on sequences [N, L] as places: single letters, and blocks of the same pieces."""
    if len(table) == 0:
        return []
    first = _pieces(table)
    edit, start = table.edit[first], table.position[first]
    last = np.append(first[1:], len(table.edit)) - 1
    width = table.position[last] - start + 1
    count = np.bincount(edit, minlength=len(table))
    made = []
    for many in np.unique(count[count > 0]).tolist():
        own = np.flatnonzero(count == many)
        mine = count[edit] == many
        starts, widths = start[mine].reshape(-1, many), width[mine].reshape(-1, many)
        if many == 1:
            widths = _rounded(widths)
        for numbers, begins, shape in _places(table.sequence[own], starts, widths):
            made.append(_job(table, letters, ambiguous, own[numbers], begins, shape))
    return made


def _pieces(table: Table) -> Ints:
    """The rows at which a piece begins."""
    new = np.append(True, table.edit[1:] != table.edit[:-1])
    gap = np.append(0, np.diff(table.position)) - 1
    joined = np.full(len(table), JOINED)
    while True:
        begins = new | (gap > joined[table.edit])
        pieces = np.bincount(table.edit[begins], minlength=len(table))
        if (pieces <= PIECES).all():
            return np.flatnonzero(begins)
        joined[pieces > PIECES] *= 2


def _rounded(widths: Ints) -> Ints:
    """Widths of 1, 2, 3, 4, 6, 8, 12, 16, 24 ...: a third of a batch is filled up at most."""
    two = 2 ** np.ceil(np.log2(widths)).astype(np.int64)
    three = two // 4 * 3
    return np.where((three >= widths) & (two >= 4), three, two)


def _places(
    sequence: Ints, starts: Ints, widths: Ints
) -> Iterator[tuple[Ints, Ints, tuple[int, ...]]]:
    """Per shape and number of edits a place: edits [S, E], starts [P, S], widths [P].

    Places lie in the order of the distances between their pieces: neighbours share windows.
    """
    many = starts.shape[1]
    keys = np.concatenate([widths, np.diff(starts, axis=1), sequence[:, None], starts[:, :1]], 1)
    order = np.lexsort(keys.T[::-1])
    keys = keys[order]
    fresh = np.append(True, (keys[1:] != keys[:-1]).any(1))
    place = np.cumsum(fresh) - 1
    held = np.bincount(place)
    rank = np.arange(len(place)) - np.flatnonzero(fresh)[place]
    parts = -(-held // TOGETHER)  # of one place, where it has many edits
    size = -(-held // parts)
    begins = rank % size[place] == 0
    first = np.flatnonzero(begins)
    edits = np.diff(np.append(first, len(place)))
    shapes = np.concatenate([keys[first, :many], edits[:, None]], 1)
    for shape in np.unique(shapes, axis=0):
        chosen = first[(shapes == shape).all(1)]
        numbers = order[chosen[:, None] + np.arange(shape[-1])]
        yield numbers, starts[order[chosen]].T, tuple(shape[:-1].tolist())


def _job(
    table: Table, letters: Ints, ambiguous: Tensor, numbers: Ints, starts: Ints, widths: tuple[int, ...]
) -> Job:  # fmt: skip
    """The letters of places, of which each covers `widths` from `starts` [P, S]."""
    covered = np.concatenate([
        np.arange(wide)[:, None] + at for at, wide in zip(starts, widths, strict=True)
    ])  # fmt: skip
    sequence, length = table.sequence[numbers[:, 0]], letters.shape[1]
    old = np.where(covered < length, letters[sequence, covered.clip(max=length - 1)], -1)
    many = numbers.shape[1]
    new = np.repeat(old[:, :, None], many, axis=2)
    where = np.full(len(table), -1)
    where[numbers.reshape(-1)] = np.arange(numbers.size)
    row = np.flatnonzero(where[table.edit] >= 0)
    site, edit = np.divmod(where[table.edit[row]], many)
    position = table.position[row]
    base = 0
    for at, wide in zip(starts, widths, strict=True):
        offset = position - at[site]
        hit = (offset >= 0) & (offset < wide)
        new[base + offset[hit], site[hit], edit[hit]] = table.letter[row[hit]]
        base += wide
    if base == 1:
        return Job(Edits(sequence, covered[0], old[0], new[0], ambiguous), numbers)
    return Job(Blocks(sequence, tuple(starts), widths, old, new, ambiguous), numbers)
