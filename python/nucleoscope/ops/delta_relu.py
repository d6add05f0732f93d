"""ReLU of a delta."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nucleoscope.naive import ops as naive
from nucleoscope.naive.ops import Original, Rows
from nucleoscope.ops import _rows
from nucleoscope.ops._arguments import Arguments
from nucleoscope.ops._extension import _C
from nucleoscope.ops._registration import register

_COMPILED = {torch.float32: _C.delta_relu_float32, torch.float64: _C.delta_relu_float64}


def delta_relu(
    given: Tensor,  # [W, S, E, C] float32 or float64
    rows: Rows,
    original: Original,  # of the ReLU's input
    length: int,
) -> Tensor:  # [W, S, E, C]
    """Change of ReLU where its input z changes by the given delta.

    Not written as a difference of two values, which loses a small delta beside a large z. Not
    differentiable.

    Equivalent to::

        max(given + min(z, 0), -max(z, 0))  # = relu(z + given) - relu(z)

    where z is the original at each row's position; rows beyond the layer's ends get zeros.

    Args:
        given: deltas of E edits at each of S sites, on W rows.
        rows: which positions the rows are.
        original: the unedited z.
        length: positions of the layer.

    Returns:
        The deltas behind the ReLU, on the same rows.

    Raises:
        TypeError: a tensor has another dtype.
        ValueError: shapes or devices disagree, or a sequence is not among the originals.
    """
    out: Tensor = torch.ops.nucleoscope.delta_relu.default(
        given, rows.starts, rows.widths, original.values, original.sequence, original.first, length
    )
    return out


def _read(given: Tensor, rows: Rows, original: Original) -> None:
    arguments = Arguments("delta_relu")
    arguments.read("given", given, "WSEC", torch.float32, torch.float64)
    _rows.read_rows(arguments, "rows", rows, given.shape[0])
    _rows.read_original(arguments, "original", original, "C", given.dtype)


def _fake(given: Tensor, *_: Any) -> Tensor:
    return given.new_empty(given.shape)


def _cpu(
    given: Tensor, starts: Tensor, widths: list[int], z: Tensor, sequence: Tensor, first: int, length: int
) -> Tensor:  # fmt: skip
    rows, original = Rows(starts, tuple(widths)), Original(z, sequence, first)
    _read(given, rows, original)
    given, rows = given.contiguous(), _rows.dense_rows(rows)
    original = _rows.dense_original(original)
    out = torch.empty_like(given)
    _COMPILED[given.dtype](
        given.data_ptr(),
        _rows.pieces(rows),
        _rows.kept(original),
        out.data_ptr(),
        given.shape[2],
        given.shape[3],
        length,
        torch.get_num_threads(),
    )
    return out


def _other(
    given: Tensor, starts: Tensor, widths: list[int], z: Tensor, sequence: Tensor, first: int, length: int
) -> Tensor:  # fmt: skip
    rows, original = Rows(starts, tuple(widths)), Original(z, sequence, first)
    _read(given, rows, original)
    return naive.delta_relu(given, rows, original, length)


register(
    "delta_relu(Tensor given, Tensor starts, int[] widths, Tensor z, Tensor sequence, int first, "
    "int length) -> Tensor",
    fake=_fake,
    cpu=_cpu,
    cuda=_other,
    other=_other,
)
