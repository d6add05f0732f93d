"""Deltas of layers side by side over the channels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nucleoscope.naive import ops as naive
from nucleoscope.naive.ops import Rows
from nucleoscope.ops import _rows
from nucleoscope.ops._arguments import Arguments
from nucleoscope.ops._extension import _C
from nucleoscope.ops._registration import register

_COMPILED = {torch.float32: _C.delta_concat_float32, torch.float64: _C.delta_concat_float64}
_NONE: tuple[int, _rows.Pieces, int, int] = (0, _rows.NO_ROWS, 0, 0)

Part = tuple[Tensor, Rows, int]


def delta_concat(
    parts: list[Part],  # one or two: [V, S, E, C'] float32 or float64, its rows, its first channel
    rows_out: Rows,
    *,
    channels: int,
    length: int,
) -> Tensor:  # [W, S, E, C]
    """Deltas side by side over the channels; more than two are put together two by two.

    Not differentiable.

    Equivalent to::

        d = zeros(W, S, E, channels)
        d[w, ..., first : first + C'] = values[row(w)]  # of each part, where that row is kept

    where row(w) holds the position of row w; rows beyond the layer's ends get zeros.

    Args:
        parts: deltas of E edits at each of S sites, the rows they are on, and where their channels go.
        rows_out: which positions of the output are wanted, W a site.
        channels: C; those of no part do not change.
        length: positions of the layer.

    Returns:
        The deltas, in the units of the parts.

    Raises:
        TypeError: a tensor has another dtype.
        ValueError: shapes or devices disagree, there is not one part or two, or they overlap or do
            not fit.
    """
    values, rows, firsts = zip(*parts, strict=True) if parts else ((), (), ())
    out: Tensor = torch.ops.nucleoscope.delta_concat.default(
        list(values), [each.starts for each in rows], _rows.flat_widths(rows),
        list(firsts), *rows_out, [channels, length],
    )  # fmt: skip
    return out


def _read(
    values: list[Tensor], starts: list[Tensor], widths: list[int], firsts: list[int],
    out_starts: Tensor, out_widths: list[int], sizes: list[int],
) -> tuple[list[Part], Rows, list[int]]:  # fmt: skip
    if len(values) not in (1, 2):
        raise ValueError(f"delta_concat: {len(values)} parts; give one or two")
    arguments, parts = Arguments("delta_concat"), []
    held = _rows.with_widths(starts, widths)
    for index, (given, rows, first) in enumerate(zip(values, held, firsts, strict=True)):
        allowed = (torch.float32, torch.float64) if index == 0 else (values[0].dtype,)
        name, axes = ("given", "VSEC") if index == 0 else ("beside", "XSED")
        arguments.read(name, given, axes, *allowed)
        _rows.read_rows(arguments, "rows_in" if index == 0 else "beside", rows, given.shape[0])
        parts.append((given, rows, first))
    rows_out = Rows(out_starts, tuple(out_widths))
    _rows.read_rows(arguments, "rows_out", rows_out, None)
    _check_places(parts, sizes[0])
    return parts, rows_out, sizes


def _check_places(parts: list[Part], channels: int) -> None:
    places = sorted((first, first + given.shape[3]) for given, _, first in parts)
    before = 0
    for first, beyond in places:
        if first < before or beyond > channels:
            listed = ", ".join(f"[{a}, {b})" for a, b in places)
            raise ValueError(
                f"delta_concat: parts go to the channels {listed} of {channels}: they must fit and "
                "not overlap"
            )
        before = beyond


def _fake(values: list[Tensor], *rest: Any) -> Tensor:
    given, widths, (channels, _) = values[0], rest[4], rest[5]
    return given.new_empty(sum(widths), *given.shape[1:3], channels)


def _dense(parts: list[Part], rows_out: Rows, channels: int) -> tuple[list[Part], Rows, Tensor]:
    """The same arguments, contiguous, and a place for the output."""
    held = [(given.contiguous(), _rows.dense_rows(rows), first) for given, rows, first in parts]
    shape = (sum(rows_out.widths), *held[0][0].shape[1:3], channels)
    return held, _rows.dense_rows(rows_out), held[0][0].new_empty(shape)


def _cpu(*args: Any) -> Tensor:
    parts, rows_out, (channels, length) = _read(*args)
    held, rows_out, out = _dense(parts, rows_out, channels)
    given = [(v.data_ptr(), _rows.pieces(rows), v.shape[3], first) for v, rows, first in held]
    _COMPILED[out.dtype](
        [*given, _NONE][:2],
        _rows.pieces(rows_out),
        out.data_ptr(),
        [*out.shape[2:], length],
        torch.get_num_threads(),
    )
    return out


def _cuda(*args: Any) -> Tensor:
    from nucleoscope.kernels.delta_concat import delta_concat as launch

    parts, rows_out, (channels, length) = _read(*args)
    held, rows_out, out = _dense(parts, rows_out, channels)
    launch(held, rows_out, out, length=length)
    return out


def _other(*args: Any) -> Tensor:
    parts, rows_out, (channels, length) = _read(*args)
    return naive.delta_concat(parts, rows_out, channels=channels, length=length)


register(
    "delta_concat(Tensor[] values, Tensor[] starts, int[] widths, int[] firsts, Tensor out_starts, "
    "int[] out_widths, int[] sizes) -> Tensor",
    fake=_fake,
    cpu=_cpu,
    cuda=_cuda,
    other=_other,
)
