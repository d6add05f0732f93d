"""Sums of deltas: of two layers, over the cells of an average pool, over a whole length."""

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

_COMPILED = {torch.float32: _C.delta_sum_float32, torch.float64: _C.delta_sum_float64}
_NONE: tuple[int, _rows.Pieces, float] = (0, _rows.NO_ROWS, 0.0)

Term = tuple[Tensor, Rows, float]


def delta_sum(
    terms: list[Term],  # one or two: [V, S, E, C], its rows, its factor
    rows_out: Rows,
    *,
    taps: int = 1,
    stride: int = 1,
    pad: int = 0,
    length: int,
    scale: Tensor | None = None,  # [C]
) -> Tensor:  # [W, S, E, C]
    """Sum of deltas over the positions of each cell.

    With one tap it adds two layers, or moves one along the length (a slice, padding); with more it is
    a pool's or a whole layer's sum. Not differentiable.

    Equivalent to::

        scale * sum(factor * values[row(w, t)] for values, _, factor in terms for t in range(taps))

    where row(w, t) holds the input position ``o * stride - pad + t`` of output position o, and counts
    as zero where it is not kept; rows beyond the output's ends get zeros.

    Args:
        terms: deltas of E edits at each of S sites, the rows they are on, and what they are times.
        rows_out: which positions of the output are wanted, W a site.
        taps: positions of a cell.
        stride: inputs from one output to the next.
        pad: positions before the input, which are zero.
        length: positions of the output.
        scale: a factor for each channel; None: 1.

    Returns:
        The sums, in the units of the terms.

    Raises:
        TypeError: a tensor has another dtype.
        ValueError: shapes or devices disagree, or there is not one term or two.
    """
    values, rows, factors = zip(*terms, strict=True) if terms else ((), (), ())
    out: Tensor = torch.ops.nucleoscope.delta_sum.default(
        list(values), [each.starts for each in rows], _rows.flat_widths(rows),
        list(factors), *rows_out, scale, [taps, stride, pad, length],
    )  # fmt: skip
    return out


def _read(
    values: list[Tensor], starts: list[Tensor], widths: list[int], factors: list[float],
    out_starts: Tensor, out_widths: list[int], scale: Tensor | None, sizes: list[int],
) -> tuple[list[Term], Rows]:  # fmt: skip
    if len(values) not in (1, 2):
        raise ValueError(f"delta_sum: {len(values)} terms; give one or two")
    arguments, terms = Arguments("delta_sum"), []
    held = _rows.with_widths(starts, widths)
    for index, (given, rows, factor) in enumerate(zip(values, held, factors, strict=True)):
        allowed = (torch.float32, torch.float64) if index == 0 else (values[0].dtype,)
        name, axes = ("given", "VSEC") if index == 0 else ("beside", "XSEC")
        arguments.read(name, given, axes, *allowed)
        _rows.read_rows(arguments, "rows_in" if index == 0 else "beside", rows, given.shape[0])
        terms.append((given, rows, factor))
    rows_out = Rows(out_starts, tuple(out_widths))
    _rows.read_rows(arguments, "rows_out", rows_out, None)
    if scale is not None:
        arguments.read("scale", scale, "C", values[0].dtype)
    if min(sizes[:2]) < 1:
        raise ValueError(f"delta_sum: taps={sizes[0]} and stride={sizes[1]} must be at least 1")
    return terms, rows_out


def _fake(values: list[Tensor], *rest: Any) -> Tensor:
    given, widths = values[0], rest[4]
    return given.new_empty(sum(widths), *given.shape[1:])


def _dense(
    terms: list[Term], rows_out: Rows, scale: Tensor | None
) -> tuple[list[Term], Rows, Tensor | None, Tensor]:
    """The same arguments, contiguous, and a place for the output."""
    held = [(given.contiguous(), _rows.dense_rows(rows), factor) for given, rows, factor in terms]
    scale = None if scale is None else scale.contiguous()
    out = held[0][0].new_empty(sum(rows_out.widths), *held[0][0].shape[1:])
    return held, _rows.dense_rows(rows_out), scale, out


def _cpu(*args: Any) -> Tensor:
    terms, rows_out = _read(*args)
    *_, scale, sizes = args
    held, rows_out, scale, out = _dense(terms, rows_out, scale)
    given = [(values.data_ptr(), _rows.pieces(rows), factor) for values, rows, factor in held]
    _COMPILED[out.dtype](
        [*given, _NONE][:2],
        0 if scale is None else scale.data_ptr(),
        _rows.pieces(rows_out),
        out.data_ptr(),
        [*out.shape[2:], *sizes],
        torch.get_num_threads(),
    )
    return out


def _cuda(*args: Any) -> Tensor:
    from nucleoscope.kernels.delta_sum import delta_sum as launch

    terms, rows_out = _read(*args)
    *_, scale, (taps, stride, pad, length) = args
    held, rows_out, scale, out = _dense(terms, rows_out, scale)
    launch(held, rows_out, out, taps=taps, stride=stride, pad=pad, length=length, scale=scale)
    return out


def _other(*args: Any) -> Tensor:
    terms, rows_out = _read(*args)
    *_, scale, (taps, stride, pad, length) = args
    return naive.delta_sum(
        terms, rows_out, taps=taps, stride=stride, pad=pad, length=length, scale=scale
    )


register(
    "delta_sum(Tensor[] values, Tensor[] starts, int[] widths, float[] factors, "
    "Tensor out_starts, int[] out_widths, Tensor? scale, int[] sizes) -> Tensor",
    fake=_fake,
    cpu=_cpu,
    cuda=_cuda,
    other=_other,
)
