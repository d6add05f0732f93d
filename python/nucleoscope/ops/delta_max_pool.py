"""Max-pooling of a delta."""

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

_COMPILED = {torch.float32: _C.delta_max_pool_float32, torch.float64: _C.delta_max_pool_float64}
_SIZES = ("taps", "stride", "dilation", "pad", "length_in", "length", "relu")


def delta_max_pool(
    given: Tensor,  # [V, S, E, C] float32 or float64
    rows_in: Rows,
    rows_out: Rows,
    original: Original,  # of the pool's input
    pooled: Original,  # of its output
    *,
    taps: int,
    stride: int,
    dilation: int = 1,
    pad: int = 0,
    length_in: int,
    length: int,
    relu: bool = False,
) -> Tensor:  # [W, S, E, C]
    """Change of each cell's maximum where some of its members change.

    With m the cell's original maximum and z its members, no two large values meet. Not
    differentiable.

    Equivalent to::

        max(d - (m - z) for each member of the cell)  # = max(z + d) - m
        max(-m, ...)                                  # with relu: = relu(max(z + d)) - m

    where d is zero for members whose rows are not kept; rows beyond the output's ends get zeros.

    Args:
        given: deltas of E edits at each of S sites, on the V rows ``rows_in``.
        rows_in: which positions of the input are kept.
        rows_out: which positions of the output are wanted, W a site.
        original: the unedited input.
        pooled: the unedited output.
        taps: members of a cell: output o reads inputs ``o * stride - pad + t * dilation``.
        stride: inputs from one cell to the next.
        dilation: inputs from one member to the next.
        pad: positions before the input, which are no members.
        length_in: positions of the input.
        length: positions of the output.
        relu: whether there is a ReLU between ``original`` and the pool: ``given`` and ``original`` are of its
            input, ``pooled`` is of the pool of its output.

    Returns:
        The deltas of the pool's output.

    Raises:
        TypeError: a tensor has another dtype.
        ValueError: shapes or devices disagree, or a sequence is not among the originals.
    """
    out: Tensor = torch.ops.nucleoscope.delta_max_pool.default(
        given, *rows_in, *rows_out, *original, *pooled,
        [taps, stride, dilation, pad, length_in, length, relu],
    )  # fmt: skip
    return out


def _check(
    given: Tensor, rows_in: Rows, rows_out: Rows, z: Original, m: Original, sizes: list[int]
) -> None:  # fmt: skip
    arguments = Arguments("delta_max_pool")
    arguments.read("given", given, "VSEC", torch.float32, torch.float64)
    _rows.read_rows(arguments, "rows_in", rows_in, given.shape[0])
    _rows.read_rows(arguments, "rows_out", rows_out, None)
    _rows.read_original(arguments, "original", z, "C", given.dtype)
    _rows.read_original(arguments, "pooled", m, "C", given.dtype)
    taps, stride, dilation = sizes[:3]
    if min(taps, stride, dilation) < 1:
        raise ValueError(
            f"delta_max_pool: taps={taps}, stride={stride} and dilation={dilation} must be at least 1"
        )


def _gathered(args: tuple[Any, ...]) -> tuple[Tensor, Rows, Rows, Original, Original, list[int]]:
    given, in_starts, in_widths, out_starts, out_widths, z, zs, zf, m, ms, mf, sizes = args
    rows_in, rows_out = Rows(in_starts, tuple(in_widths)), Rows(out_starts, tuple(out_widths))
    return given, rows_in, rows_out, Original(z, zs, zf), Original(m, ms, mf), sizes


def _named(sizes: list[int]) -> dict[str, Any]:
    return dict(zip(_SIZES, sizes, strict=True))


def _fake(*args: Any) -> Tensor:
    given: Tensor = args[0]
    width = sum(args[4])
    return given.new_empty((width, *given.shape[1:]))


def _cpu(*args: Any) -> Tensor:
    given, rows_in, rows_out, z, m, sizes = _gathered(args)
    _check(given, rows_in, rows_out, z, m, sizes)
    given, rows_in, rows_out = given.contiguous(), *map(_rows.dense_rows, (rows_in, rows_out))
    z, m = _rows.dense_original(z), _rows.dense_original(m)
    out = given.new_empty((sum(rows_out.widths), *given.shape[1:]))
    _COMPILED[given.dtype](
        given.data_ptr(),
        _rows.pieces(rows_in),
        _rows.pieces(rows_out),
        _rows.kept(z),
        _rows.kept(m),
        out.data_ptr(),
        [*given.shape[2:], *sizes],
        torch.get_num_threads(),
    )
    return out


def _cuda(*args: Any) -> Tensor:
    from nucleoscope.kernels.delta_max_pool import delta_max_pool as launch

    given, rows_in, rows_out, z, m, sizes = _gathered(args)
    _check(given, rows_in, rows_out, z, m, sizes)
    out = given.new_empty((sum(rows_out.widths), *given.shape[1:]))
    launch(
        given.contiguous(), *map(_rows.dense_rows, (rows_in, rows_out)),
        *map(_rows.dense_original, (z, m)), out, **_named(sizes),
    )  # fmt: skip
    return out


def _other(*args: Any) -> Tensor:
    given, rows_in, rows_out, z, m, sizes = _gathered(args)
    _check(given, rows_in, rows_out, z, m, sizes)
    return naive.delta_max_pool(given, rows_in, rows_out, z, m, **_named(sizes))


register(
    "delta_max_pool(Tensor given, Tensor in_starts, int[] in_widths, Tensor out_starts, "
    "int[] out_widths, Tensor z, Tensor z_sequence, int z_first, Tensor m, Tensor m_sequence, "
    "int m_first, int[] sizes) -> Tensor",
    fake=_fake,
    cpu=_cpu,
    cuda=_cuda,
    other=_other,
)
