"""Product of two layers, both of which may change."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nucleoscope.naive import ops as naive
from nucleoscope.naive.ops import Original, Rows
from nucleoscope.naive.ops.delta_product import Factor
from nucleoscope.ops import _rows
from nucleoscope.ops._arguments import Arguments
from nucleoscope.ops._extension import _C
from nucleoscope.ops._registration import register

_COMPILED = {torch.float32: _C.delta_product_float32, torch.float64: _C.delta_product_float64}


def delta_product(
    factors: list[Factor],  # two: [V, S, E, C] float32 or float64, its rows, its original
    rows_out: Rows,
    *,
    length: int,
) -> Tensor:  # [W, S, E, C]
    """Change of a product of two layers, such as a value and its gate.

    Not written as a difference of two products, which loses a small delta beside a large one. Not
    differentiable.

    Equivalent to::

        a * d_b + (b + d_b) * d_a  # = (a + d_a) * (b + d_b) - a * b

    where a and b are the originals at each row's position; a delta counts as zero where it is not kept,
    and rows beyond the layer's ends get zeros.

    Args:
        factors: deltas of E edits at each of S sites and the rows they are on (None, None: no edit
            reaches this factor), and the unedited factor, which must be finite.
        rows_out: which positions of the product are wanted, W a site.
        length: positions of the layer.

    Returns:
        The deltas, in the units of the product.

    Raises:
        TypeError: a tensor has another dtype.
        ValueError: shapes or devices disagree, there are not two factors or neither changes, or a
            sequence is not among the originals.
    """
    if len(factors) != 2:
        raise ValueError(f"delta_product: {len(factors)} factors; give two")
    flat: list[Any] = []
    for values, rows, original in factors:
        flat += (values, *((None, ()) if rows is None else rows), *original)
    out: Tensor = torch.ops.nucleoscope.delta_product.default(*flat, *rows_out, length)
    return out


def _read(*args: Any) -> tuple[list[Factor], Rows, int]:
    factors: list[Factor] = []
    for values, starts, widths, z, sequence, first in (args[:6], args[6:12]):
        rows = None if starts is None else Rows(starts, tuple(widths))
        factors.append((values, rows, Original(z, sequence, first)))
    arguments, rows_out = Arguments("delta_product"), Rows(args[12], tuple(args[13]))
    deltas = [values for values, _, _ in factors if values is not None]
    if not deltas:
        raise ValueError("delta_product: neither factor has a delta; give one at least")
    dtypes: tuple[torch.dtype, ...] = (torch.float32, torch.float64)
    for (values, rows, _), name, axes, on in zip(
        factors, ("given", "beside"), ("VSEC", "XSEC"), ("rows_in", "beside"), strict=True
    ):
        if values is None:
            continue
        arguments.read(name, values, axes, *dtypes)
        if rows is None:
            raise ValueError(f"delta_product: {name} has deltas; say which rows they are on")
        _rows.read_rows(arguments, on, rows, values.shape[0])
        dtypes = (values.dtype,)
    for (_, _, original), name in zip(factors, ("original", "other"), strict=True):
        _rows.read_original(arguments, name, original, "C", *dtypes)
    _rows.read_rows(arguments, "rows_out", rows_out, None)
    return factors, rows_out, args[14]


def _fake(*args: Any) -> Tensor:
    given: Tensor = args[6] if args[0] is None else args[0]
    return given.new_empty(sum(args[13]), *given.shape[1:])


def _dense(factors: list[Factor], rows_out: Rows) -> tuple[list[Factor], Rows, Tensor]:
    """The same arguments, contiguous, and a place for the output."""
    held: list[Factor] = [
        (
            None if values is None else values.contiguous(),
            None if rows is None else _rows.dense_rows(rows),
            _rows.dense_original(original),
        )
        for values, rows, original in factors
    ]
    like = next(values for values, _, _ in held if values is not None)
    out = like.new_empty(sum(rows_out.widths), *like.shape[1:])
    return held, _rows.dense_rows(rows_out), out


def _cpu(*args: Any) -> Tensor:
    factors, rows_out, length = _read(*args)
    held, rows_out, out = _dense(factors, rows_out)
    _COMPILED[out.dtype](
        [
            (
                0 if values is None else values.data_ptr(),
                _rows.NO_ROWS if rows is None else _rows.pieces(rows),
                _rows.kept(original),
            )
            for values, rows, original in held
        ],
        _rows.pieces(rows_out),
        out.data_ptr(),
        [*out.shape[2:], length],
        torch.get_num_threads(),
    )
    return out


def _cuda(*args: Any) -> Tensor:
    from nucleoscope.kernels.delta_product import delta_product as launch

    factors, rows_out, length = _read(*args)
    held, rows_out, out = _dense(factors, rows_out)
    launch(held, rows_out, out, length=length)
    return out


def _other(*args: Any) -> Tensor:
    factors, rows_out, length = _read(*args)
    return naive.delta_product(factors, rows_out, length=length)


register(
    "delta_product(Tensor? given, Tensor? in_starts, int[] in_widths, Tensor z, Tensor sequence, "
    "int first, Tensor? beside, Tensor? starts, int[] widths, Tensor other, Tensor other_sequence, "
    "int other_first, Tensor out_starts, int[] out_widths, int length) -> Tensor",
    fake=_fake,
    cpu=_cpu,
    cuda=_cuda,
    other=_other,
)
