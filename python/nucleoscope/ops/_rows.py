"""How ``Rows`` and ``Original`` are checked, and handed to C++: as addresses and sizes."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from nucleoscope.naive.ops import Original, Rows
from nucleoscope.ops._arguments import Arguments

Pieces = tuple[int, tuple[int, ...], int]
Kept = tuple[int, int, int, int, int]

NO_ROWS: Pieces = (0, (), 0)
NO_ORIGINAL: Kept = (0, 0, 0, 0, 0)


def read_rows(arguments: Arguments, name: str, rows: Rows, width: int | None) -> None:
    """Check the pieces of a Rows; ``width``: how many rows a site they must come to.

    Raises:
        TypeError: starts are not int64.
        ValueError: there is not a width for each piece, or they do not come to ``width``.
    """
    axis = {"rows_in": "P", "rows": "P", "rows_out": "Q", "beside": "R"}[name]
    arguments.read(f"{name}.starts", rows.starts, f"{axis}S", torch.int64)
    if len(rows.widths) != len(rows.starts) or min(rows.widths, default=0) < 0:
        raise ValueError(
            f"{arguments.op}: {name} has widths {list(rows.widths)} for {len(rows.starts)} pieces: "
            "give one for each, none negative"
        )
    kept = sum(rows.widths)
    if width is not None and kept != width:
        raise ValueError(
            f"{arguments.op}: {name} keeps {kept} rows a site, but its deltas have {width}: "
            "make widths.sum() their first axis"
        )


def read_original(
    arguments: Arguments, name: str, original: Original, channels: str, *dtypes: torch.dtype
) -> None:
    """Check one Original; ``channels`` is the letter of the axis its channels are.

    Raises:
        TypeError: values or sequence have another dtype.
        ValueError: shapes or devices disagree, or sequence names none of the values.
    """
    letter = {"original": "N", "pooled": "M", "other": "M", "original_logits": "M"}[name]
    axes = f"{letter}{letter.lower()}{channels}"
    arguments.read(f"{name}.values", original.values, axes, *dtypes)
    arguments.read(f"{name}.sequence", original.sequence, "S", torch.int32)
    arguments.check_indices(f"{name}.sequence", letter)
    sequence, positions = original.sequence, original.values.shape[1]
    if len(sequence) == 0:
        return
    if positions == 0:
        raise ValueError(f"{arguments.op}: {name}.values keeps no position; it needs one at least")
    least = int(sequence.argmin())
    if sequence[least] < 0:
        raise ValueError(
            f"{arguments.op}: {name}.sequence[{least}] is {int(sequence[least])}; every site has one: "
            "give its index"
        )


def flat_widths(every: Iterable[Rows]) -> list[int]:
    """The widths of several Rows in one list, each with their number before them."""
    return [number for rows in every for number in (len(rows.widths), *rows.widths)]


def with_widths(starts: list[Tensor], flat: list[int]) -> list[Rows]:
    """The Rows with these starts, of whose widths ``flat_widths`` made a list."""
    rows, first = [], 0
    for each in starts:
        last = first + 1 + flat[first]
        rows.append(Rows(each, tuple(flat[first + 1 : last])))
        first = last
    return rows


def pieces(rows: Rows) -> Pieces:
    """Rows as C++ takes them. The tensors must outlive the call."""
    return (rows.starts.data_ptr(), rows.widths, rows.starts.shape[1])


def kept(original: Original) -> Kept:
    """Original as C++ takes it. The tensors must outlive the call."""
    values, sequence, first = original
    return (values.data_ptr(), sequence.data_ptr(), first, values.shape[1], values.shape[2])


def dense(*tensors: Tensor) -> list[Tensor]:
    """The same tensors, contiguous."""
    return [each.contiguous() for each in tensors]


def dense_rows(rows: Rows) -> Rows:
    """The same rows, contiguous."""
    return Rows(rows.starts.contiguous(), rows.widths)


def dense_original(original: Original) -> Original:
    """The same activations, contiguous."""
    values, sequence = dense(original.values, original.sequence)
    return Original(values, sequence, original.first)
