"""Convolution of a delta, with the ReLU and the residual behind it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nucleoscope.naive import ops as naive
from nucleoscope.naive.ops import Original, Rows, pack_weight, to_bf16, to_tf32
from nucleoscope.ops import _rows
from nucleoscope.ops._arguments import Arguments
from nucleoscope.ops._extension import _C
from nucleoscope.ops._packed import parts, takes, weight_kinds
from nucleoscope.ops._registration import register

__all__ = ["delta_conv", "has_bf16", "pack_weight", "to_bf16", "to_tf32"]

_COMPILED = {torch.float32: _C.delta_conv_float32, torch.float64: _C.delta_conv_float64}


def has_bf16() -> bool:
    """Whether the instruction set in force multiplies bfloat16; elsewhere it is taken apart, slowly."""
    return _C.isa() == "v4_bf16"


def delta_conv(
    given: Tensor,  # [V, S, E, C_in] float32 or float64
    rows_in: Rows,
    weight: Tensor,  # from pack_weight, or to_bf16 or to_tf32 of that
    rows_out: Rows,
    *,
    channels: int,
    stride: int = 1,
    dilation: int = 1,
    pad: int = 0,
    length: int,
    original: Original | None = None,
    residual: Tensor | None = None,  # [R, S, E, C_out]
    beside: Rows | None = None,
    residual_first: bool = False,
    tf32: bool = False,
) -> Tensor:  # [W, S, E, C_out]
    """Change of a convolution, of the ReLU behind it, and of the residual that joins it.

    A convolution is linear, so its delta needs neither bias nor original, and only the pairs of an
    output row and a tap whose input row is kept are multiplied. Exact zeros of ``given`` are
    skipped, so the weights must be finite. A linear layer is a convolution of one tap. Not
    differentiable.

    Equivalent to::

        d[w] = sum(given[row(w, t)] @ weight[t] for t in taps)   # where that row is kept
        d = max(d + min(z, 0), -max(z, 0))                       # with original: ReLU at z
        d = d + residual                                         # with residual

    where row(w, t) holds the input position ``o * stride - pad + t * dilation`` of output position
    o; rows beyond the output's ends get zeros.

    Args:
        given: deltas of E edits at each of S sites, on the V rows ``rows_in``.
        rows_in: which positions of the input are kept.
        weight: what ``pack_weight(weight [K, C_in / G, C_out], groups=G)`` makes; with
            ``to_bf16`` of that, float32 deltas are rounded to bfloat16 before they are multiplied
            (but for groups of one channel, which stay float32). It must have been packed on the device.
        rows_out: which positions of the output are wanted, W a site.
        channels: C_out.
        stride: inputs from one output to the next.
        dilation: inputs from one tap to the next.
        pad: positions before the input, which are zero.
        length: positions of the output.
        original: the unedited input of the ReLU behind the convolution; None: there is no ReLU.
        residual: a delta that is added, zero where its rows are not kept; None: there is none.
        beside: which positions the rows of the residual are.
        residual_first: whether it is added before the ReLU, not behind it.
        tf32: whether float32 deltas are rounded to TF32 before they are multiplied, as the weights must
            have been by ``to_tf32``; sums stay float32. On a GPU only. Without it three products of
            TF32 make one of float32.

    Returns:
        The deltas, in the units of the layer's output.

    Raises:
        TypeError: a tensor has another dtype.
        ValueError: shapes or devices disagree, a sequence is not among the originals, or a processor is
            asked for TF32.
    """
    values, sequence, first = (None, None, 0) if original is None else original
    starts, widths = (None, ()) if beside is None else beside
    out: Tensor = torch.ops.nucleoscope.delta_conv.default(
        given, *rows_in, *rows_out, weight, values, sequence, first, residual, starts, widths,
        residual_first, [channels, stride, dilation, pad, length, tf32],
    )  # fmt: skip
    return out


class _Call:
    """The arguments of one call, put together again and checked."""

    def __init__(self, *args: Any) -> None:
        (
            self.given, in_starts, in_widths, out_starts, out_widths, self.weight,
            z, sequence, first, self.residual, starts, widths, self.residual_first, sizes,
        ) = args  # fmt: skip
        self.rows_in, self.rows_out = (
            Rows(in_starts, tuple(in_widths)),
            Rows(out_starts, tuple(out_widths)),
        )
        self.original = None if z is None else Original(z, sequence, first)
        self.beside = None if starts is None else Rows(starts, tuple(widths))
        self.channels, self.stride, self.dilation, self.pad, self.length, tf32 = sizes
        self.tf32 = bool(tf32)
        self._check()

    def _check(self) -> None:
        given, arguments = self.given, Arguments("delta_conv")
        arguments.read("given", given, "VSEC", torch.float32, torch.float64)
        _rows.read_rows(arguments, "rows_in", self.rows_in, given.shape[0])
        _rows.read_rows(arguments, "rows_out", self.rows_out, None)
        arguments.read("weight", self.weight, *weight_kinds(self.weight, given.dtype))
        self._check_weight()
        if self.original is not None:
            _rows.read_original(arguments, "original", self.original, "O", given.dtype)
        if self.residual is not None:
            arguments.read("residual", self.residual, "XSEO", given.dtype)
            if self.beside is None:
                raise ValueError("delta_conv: residual is given; say with beside= which rows it is")
            _rows.read_rows(arguments, "beside", self.beside, self.residual.shape[0])
        for name, held in (("original", self.original and self.original.values),
                           ("residual", self.residual)):  # fmt: skip
            if held is not None and held.shape[-1] != self.channels:
                raise ValueError(
                    f"delta_conv: {name} has {held.shape[-1]} channels, the output {self.channels}"
                )

    def _check_weight(self) -> None:
        if not takes(self.weight, self.given.shape[3], self.channels):
            raise ValueError(
                f"delta_conv: weight {list(self.weight.shape)} does not take {self.given.shape[3]} "
                f"channels to {self.channels}: make it with pack_weight(weight [K, C_in / G, C_out], G)"
            )
        if self.tf32 and self.given.dtype != torch.float32:
            raise ValueError(
                f"delta_conv: tf32=True: given is {self.given.dtype}; TF32 is for float32 deltas"
            )
        if min(self.stride, self.dilation) < 1:
            raise ValueError(
                f"delta_conv: stride={self.stride} and dilation={self.dilation} must be at least 1"
            )

    def compiled(self) -> Tensor:
        if self.tf32:
            raise ValueError("delta_conv: tf32=True: a processor has no TF32; leave it out")
        given, weight = _rows.dense(self.given, self.weight)
        rows_in, rows_out = _rows.dense_rows(self.rows_in), _rows.dense_rows(self.rows_out)
        original = None if self.original is None else _rows.dense_original(self.original)
        residual = None if self.residual is None else self.residual.contiguous()
        beside = None if self.beside is None else _rows.dense_rows(self.beside)
        _, sites, many, channels_in = given.shape
        out = given.new_empty(sum(rows_out.widths), sites, many, self.channels)
        groups, taps = parts(weight, channels_in)
        _COMPILED[given.dtype](
            given.data_ptr(),
            _rows.pieces(rows_in),
            _rows.pieces(rows_out),
            weight.data_ptr(),
            _rows.NO_ORIGINAL if original is None else _rows.kept(original),
            0 if residual is None else residual.data_ptr(),
            _rows.NO_ROWS if beside is None else _rows.pieces(beside),
            self.residual_first,
            out.data_ptr(),
            [many, channels_in, self.channels, groups, taps,
             self.stride, self.dilation, self.pad, self.length, self.weight.dtype == torch.int32],
            torch.get_num_threads(),
        )  # fmt: skip
        return out

    def launched(self) -> Tensor:
        from nucleoscope.kernels.delta_conv import delta_conv as launch

        given, weight = _rows.dense(self.given, self.weight)
        _, sites, many, _ = given.shape
        out = given.new_empty(sum(self.rows_out.widths), sites, many, self.channels)
        launch(
            given, _rows.dense_rows(self.rows_in), weight, _rows.dense_rows(self.rows_out), out,
            channels=self.channels, stride=self.stride, dilation=self.dilation, pad=self.pad,
            length=self.length,
            original=None if self.original is None else _rows.dense_original(self.original),
            residual=None if self.residual is None else self.residual.contiguous(),
            beside=None if self.beside is None else _rows.dense_rows(self.beside),
            residual_first=self.residual_first, precision="tf32" if self.tf32 else "fp32",
        )  # fmt: skip
        return out

    def plain(self) -> Tensor:
        return naive.delta_conv(
            self.given, self.rows_in, self.weight, self.rows_out, channels=self.channels,
            stride=self.stride, dilation=self.dilation, pad=self.pad, length=self.length,
            original=self.original, residual=self.residual, beside=self.beside,
            residual_first=self.residual_first, tf32=self.tf32,
        )  # fmt: skip


def _fake(*args: Any) -> Tensor:
    given: Tensor = args[0]
    sizes = args[-1]
    width = sum(args[4])
    return given.new_empty(width, given.shape[1], given.shape[2], sizes[0])


def _cpu(*args: Any) -> Tensor:
    return _Call(*args).compiled()


def _cuda(*args: Any) -> Tensor:
    return _Call(*args).launched()


def _other(*args: Any) -> Tensor:
    return _Call(*args).plain()


register(
    "delta_conv(Tensor given, Tensor in_starts, int[] in_widths, Tensor out_starts, "
    "int[] out_widths, Tensor weight, Tensor? z, Tensor? sequence, int first, Tensor? residual, "
    "Tensor? starts, int[] widths, bool residual_first, int[] sizes) -> Tensor",
    fake=_fake,
    cpu=_cpu,
    cuda=_cuda,
    other=_other,
)
