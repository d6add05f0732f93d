"""What a rule sees when a batch of edits passes its op: rows, deltas, originals, weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nucleoscope import ops
from nucleoscope.engine.graph import Axes
from nucleoscope.engine.rows import Delta, Ints, Pieces, Rows
from nucleoscope.engine.transfer import sent, together


@dataclass(frozen=True)
class Edits:
    """Single-base substitutions: E letters at each of S sites.

    A letter is a column of the alphabet, -1 an all-zero column; letters from A on are the rows of
    `ambiguous`, the columns of the input that are neither (R, Y, ... as equal parts).
    """

    sequence: Ints  # [S] which original
    site: Ints  # [S] position
    old: Ints  # [S] letter that stands there
    new: Ints  # [S, E] letters put in
    ambiguous: Tensor  # [K, A] columns, float64

    def __len__(self) -> int:
        return len(self.site)

    @cached_property
    def letters(self) -> ops.Letters:
        """The same edits as the ops take them."""
        small = (torch.from_numpy(a.astype(np.int32)) for a in (self.sequence, self.old, self.new))
        sequence, old, new = small
        return ops.Letters(sequence, torch.from_numpy(np.ascontiguousarray(self.site)), old, new)

    @property
    def pieces(self) -> Pieces:
        """What each place covers of its sequence."""
        return [(self.site, self.site + 1)]

    @property
    def shape(self) -> tuple[int, int]:
        """How many sites, and how many edits at each."""
        return len(self.site), self.new.shape[1]

    def part(self, index: Any) -> Edits:
        """The edits at some of the sites."""
        return Edits(
            self.sequence[index], self.site[index], self.old[index], self.new[index], self.ambiguous
        )

    def from_sequence(self, first: int) -> Edits:
        """The same with sequences counted from this one."""
        return replace(self, sequence=self.sequence - first)

    def within(self, first: int, last: int, start: int, end: int) -> Edits:
        """The edits on sequences [first, last), counted from first, at sites [start, end)."""
        inside = (self.sequence >= first) & (self.sequence < last)
        part = self.part(inside & (self.site >= start) & (self.site < end))
        return part.from_sequence(first)

    @property
    def put(self) -> tuple[Ints, Ints]:
        """The letters that stand at each covered position [1, S], and those put in [1, S, E]."""
        return self.old[None], self.new[None]


@dataclass(frozen=True)
class Blocks:
    """Same-length edits of any kind: E at each of S places, which cover W positions in one or more pieces.

    Letters are written as in `Edits`. A position that an edit leaves alone keeps the letter it has.
    """

    sequence: Ints  # [S] which original
    starts: tuple[Ints, ...]  # per piece [S], in order; the pieces of a place do not overlap
    widths: tuple[int, ...]  # per piece
    old: Ints  # [W, S] letters that stand there; positions beyond the ends: -1
    new: Ints  # [W, S, E] letters put in
    ambiguous: Tensor  # [K, A] columns, float64

    def __len__(self) -> int:
        return len(self.sequence)

    @property
    def pieces(self) -> Pieces:
        """What each place covers of its sequence."""
        return [(at, at + wide) for at, wide in zip(self.starts, self.widths, strict=True)]

    @property
    def shape(self) -> tuple[int, int]:
        """How many places, and how many edits at each."""
        return self.new.shape[1], self.new.shape[2]

    @cached_property
    def letters(self) -> ops.Letters:
        """Which originals, and how many edits at each place; no op looks at the letters."""
        sequence = torch.from_numpy(self.sequence.astype(np.int32))
        site = torch.from_numpy(np.ascontiguousarray(self.starts[0]))
        none = torch.full((len(self), 1), -1, dtype=torch.int32)
        return ops.Letters(sequence, site, none[:, 0], none.expand(self.shape).contiguous())

    def part(self, index: Any) -> Blocks:
        """The edits at some of the places."""
        starts = tuple(start[index] for start in self.starts)
        old, new = self.old[:, index], self.new[:, index]
        return Blocks(self.sequence[index], starts, self.widths, old, new, self.ambiguous)

    def from_sequence(self, first: int) -> Blocks:
        """The same with sequences counted from this one."""
        return replace(self, sequence=self.sequence - first)

    @property
    def put(self) -> tuple[Ints, Ints]:
        """The letters that stand at each covered position [W, S], and those put in [W, S, E]."""
        return self.old, self.new


AnyEdits = Edits | Blocks


def columns(edits: AnyEdits, like: Tensor) -> Tensor:
    """The change of the edited columns, [W, S, E, A]."""
    size = edits.ambiguous.shape[1]
    letters = torch.cat([torch.eye(size).double(), edits.ambiguous, torch.zeros(1, size)])
    old, new = edits.put
    change = (letters[new] - letters[old][:, :, None]).to(like.dtype)
    return sent(change.numpy(), like.device)


@dataclass(frozen=True)
class Placed:
    """What a batch's ops need to know of its windows and its letters, where its deltas are."""

    rows: dict[str, ops.Rows]
    letters: ops.Letters

    @staticmethod
    def at(device: torch.device, rows: dict[str, Rows], edits: AnyEdits) -> Placed:
        """On a device of its own memory by one copy."""
        held = {name: each.for_ops for name, each in rows.items()}
        starts = [each.starts for each in held.values()]
        moved = together([*starts, *edits.letters], device)
        pairs = zip(held.items(), moved, strict=False)
        placed = {name: ops.Rows(there, each.widths) for (name, each), there in pairs}
        return Placed(placed, ops.Letters(*moved[len(starts) :]))


@dataclass(frozen=True)
class Originals:
    """Original activations, kept as rows: name -> (values [N, rows, C], first kept position)."""

    kept: dict[str, tuple[Tensor, int]]

    def at(self, name: str, rows: Rows, sequence: Ints) -> Tensor:
        """The activation of `name` on `rows`, [W, S, 1, C]; positions beyond its ends are clamped."""
        values, first = self.kept[name]
        _, length, channels = values.shape
        start = rows.starts[0] - first
        regular = len(rows.starts) == 1 and bool((sequence == sequence[0]).all())
        inside = start[0] >= 0 and start[-1] + rows.width <= length
        if regular and inside and (np.diff(start) == 1).all():  # neighbours: a view, no copy
            shape = (rows.width, rows.sites, 1, channels)
            base = (int(sequence[0]) * length + int(start[0])) * channels
            strides = (channels, channels, channels, 1)
            return values.as_strided(shape, strides, values.storage_offset() + base)
        return self.picked(name, rows.positions, sequence)

    def picked(self, name: str, positions: Ints, sequence: Ints) -> Tensor:
        """The activation of `name` at positions [W, S], [W, S, 1, C]; those beyond its ends are clamped."""
        values, first = self.kept[name]
        n, length, channels = values.shape
        index = np.clip(positions - first, 0, length - 1) + sequence * length
        flat = sent(index, values.device).view(-1)
        picked = values.view(n * length, channels).index_select(0, flat)
        return picked.view(*positions.shape, 1, channels)


@dataclass
class Step:
    """One op, one batch of edits."""

    rows: Rows  # of the output
    inputs: list[Delta | None]  # None: no edit of this batch reaches that input
    owned: list[bool]  # whether nobody reads that input's values any more
    packed: Any
    edits: AnyEdits
    originals: Originals
    like: Tensor  # an empty tensor of the engine's dtype and device

    def zeros(self, channels: int) -> Tensor:
        """A zero delta on the output rows."""
        shape = (self.rows.width, self.rows.sites, self.edits.shape[1], channels)
        return self.like.new_zeros(shape)

    def given(self, index: int) -> Delta:
        """The index-th input's delta."""
        delta = self.inputs[index]
        assert delta is not None
        return delta

    def aligned(self, index: int) -> Tensor:
        """The index-th input's delta on the output rows, free to be overwritten."""
        delta = self.given(index)
        values = delta.on(self.rows)
        shared = values.untyped_storage().data_ptr() == delta.values.untyped_storage().data_ptr()
        return values.clone() if shared and not self.owned[index] else values

    def seen(self, index: int) -> Tensor | None:
        """The index-th input's delta on the output rows, to be read only; None where it has none."""
        delta = self.inputs[index]
        return None if delta is None else delta.on(self.rows)

    def original(self, name: str, rows: Rows | None = None) -> Tensor:
        """The original activation of `name` on the output rows (or on `rows`): [W, S, 1, C]."""
        return self.originals.at(name, self.rows if rows is None else rows, self.edits.sequence)


@dataclass(frozen=True)
class Alias:
    """What lowering returns for an op that moves no number: the same rows under other axes."""

    of: str
    axes: Axes
