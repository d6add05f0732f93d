"""An elementwise function of a delta."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nucleoscope.naive import ops as naive
from nucleoscope.naive.ops import Original, Rows
from nucleoscope.ops import _functions, _rows
from nucleoscope.ops._arguments import Arguments
from nucleoscope.ops._extension import _C
from nucleoscope.ops._registration import register

_COMPILED = {torch.float32: _C.delta_pointwise_float32, torch.float64: _C.delta_pointwise_float64}


def delta_pointwise(
    given: Tensor,  # [W, S, E, C] float32 or float64
    rows: Rows,
    original: Original,  # of the function's input
    length: int,
    function: str,
    parameters: tuple[float, ...] = (),
) -> Tensor:  # [W, S, E, C]
    """Change of an elementwise function g where its input z changes by the given delta.

    Not written as a difference of two values, which loses a small delta beside a large z: for ReLU
    it is ``max(given + min(z, 0), -max(z, 0))``. Not differentiable.

    Equivalent to::

        g(z + given) - g(z)

    where z is the original at each row's position; rows beyond the layer's ends get zeros.

    Args:
        given: deltas of E edits at each of S sites, on W rows.
        rows: which positions the rows are.
        original: the unedited z.
        length: positions of the layer.
        function: ``relu``, ``clamp`` (low, high; either may be infinite), ``leaky_relu`` (slope),
            ``elu`` (alpha, scale, input_scale), ``sigmoid``, ``tanh``, ``silu``, ``gelu``,
            ``gelu_tanh``, ``softplus`` (beta, threshold), ``threshold`` (limit, value), ``exp``,
            ``log``, ``log1p``, ``sqrt``, ``reciprocal``, ``square`` or ``abs``.
        parameters: the numbers in brackets.

    Returns:
        The deltas behind the function, on the same rows.

    Raises:
        TypeError: a tensor has another dtype.
        ValueError: shapes or devices disagree, a sequence is not among the originals, or there is no
            such function or it takes other parameters.
    """
    out: Tensor = torch.ops.nucleoscope.delta_pointwise.default(
        given, rows.starts, rows.widths, original.values, original.sequence, original.first, length,
        function, parameters,
    )  # fmt: skip
    return out


def _read(
    given: Tensor, rows: Rows, original: Original, function: str, parameters: list[float]
) -> int:
    arguments = Arguments("delta_pointwise")
    arguments.read("given", given, "WSEC", torch.float32, torch.float64)
    _rows.read_rows(arguments, "rows", rows, given.shape[0])
    _rows.read_original(arguments, "original", original, "C", given.dtype)
    return _functions.number("delta_pointwise", function, parameters)


def _fake(given: Tensor, *_: Any) -> Tensor:
    return given.new_empty(given.shape)


def _cpu(
    given: Tensor, starts: Tensor, widths: list[int], z: Tensor, sequence: Tensor, first: int, length: int,
    function: str, parameters: list[float],
) -> Tensor:  # fmt: skip
    rows, original = Rows(starts, tuple(widths)), Original(z, sequence, first)
    number = _read(given, rows, original, function, parameters)
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
        number,
        _functions.three(parameters),
        torch.get_num_threads(),
    )
    return out


def _cuda(
    given: Tensor, starts: Tensor, widths: list[int], z: Tensor, sequence: Tensor, first: int, length: int,
    function: str, parameters: list[float],
) -> Tensor:  # fmt: skip
    from nucleoscope.kernels.delta_pointwise import delta_pointwise as launch

    rows, original = Rows(starts, tuple(widths)), Original(z, sequence, first)
    _read(given, rows, original, function, parameters)
    out = given.new_empty(given.shape)
    launch(
        given.contiguous(), _rows.dense_rows(rows), _rows.dense_original(original), length, function,
        parameters, out,
    )  # fmt: skip
    return out


def _other(
    given: Tensor, starts: Tensor, widths: list[int], z: Tensor, sequence: Tensor, first: int, length: int,
    function: str, parameters: list[float],
) -> Tensor:  # fmt: skip
    rows, original = Rows(starts, tuple(widths)), Original(z, sequence, first)
    _read(given, rows, original, function, parameters)
    return naive.delta_pointwise(given, rows, original, length, function, tuple(parameters))


register(
    "delta_pointwise(Tensor given, Tensor starts, int[] widths, Tensor z, Tensor sequence, int first, "
    "int length, str function, float[] parameters) -> Tensor",
    fake=_fake,
    cpu=_cpu,
    cuda=_cuda,
    other=_other,
)
