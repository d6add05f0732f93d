"""Which positions of a layer a batch of edits keeps, and the original activations beside them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Rows(NamedTuple):
    """The rows kept for S sites: piece j of site s is ``[starts[j, s], starts[j, s] + widths[j])``.

    The pieces of a site do not overlap; its rows count through them in turn.
    """

    starts: Tensor  # [P, S] int64
    widths: tuple[int, ...]  # P of them


class Original(NamedTuple):
    """The original activations of one layer, at positions first, first + 1, ... of N sequences."""

    values: Tensor  # [N, L, C]
    sequence: Tensor  # [S] int32: which of the N each site edits
    first: int = 0


def positions(rows: Rows) -> Tensor:
    """The layer's position of every row, [W, S]."""
    pieces = zip(rows.starts, rows.widths, strict=True)
    return torch.cat([start + torch.arange(w, device=start.device)[:, None] for start, w in pieces])


def find(rows: Rows, where: Tensor) -> Tensor:
    """The row that holds each position [W', S] of its site; -1 where it is not kept."""
    index, base = torch.full_like(where, -1), 0
    for start, width in zip(rows.starts, rows.widths, strict=True):
        relative = where - start
        index = torch.where((relative >= 0) & (relative < width), relative + base, index)
        base += width
    return index


def take(values: Tensor, row: Tensor) -> Tensor:
    """values [V, S, E, C] at row [W, S] of each site, [W, S, E, C]; zero where the row is -1."""
    if len(values) == 0:
        return values.new_zeros(*row.shape, *values.shape[2:])
    site = torch.arange(values.shape[1], device=values.device)
    return torch.where(row[:, :, None, None] >= 0, values[row.clamp(min=0), site], 0.0)


def at(original: Original, where: Tensor) -> Tensor:
    """The original at each position [W, S], [W, S, 1, C]; positions beyond those kept are clamped."""
    row = (where - original.first).clamp(0, original.values.shape[1] - 1)
    return original.values[original.sequence.long(), row][:, :, None]
