"""Attention pooling of a delta: means of cells, weighted by a softmax over each cell."""

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

_COMPILED = {
    torch.float32: _C.delta_softmax_pool_float32, torch.float64: _C.delta_softmax_pool_float64
}  # fmt: skip


def delta_softmax_pool(
    given: Tensor | None,  # [V, S, E, C] float32 or float64
    rows_in: Rows | None,
    logits: Tensor | None,  # [U, S, E, C]
    beside: Rows | None,
    rows_out: Rows,
    original: Original,
    original_logits: Original,
    *,
    taps: int,
    stride: int,
    length_in: int,
    length: int,
) -> Tensor:  # [W, S, E, C]
    """Change of each cell's mean of x, weighted by the softmax of its logits, channel by channel.

    Not written as a difference of two means: the weights' changes are taken by expm1 from the
    logits', so that a small one is not lost. Not differentiable.

    Equivalent to::

        sum((x + dx) * softmax(z + dz)) - sum(x * softmax(z))  # over each cell; z: the logits

    where the cell of output position o holds the input positions ``o * stride + t``, t < taps, that
    are before ``length_in``; a change that is not kept is zero, and rows beyond the output's ends get
    zeros.

    Args:
        given: dx, deltas of E edits at each of S sites, on the V rows ``rows_in``; None: no edit
            reaches x.
        rows_in: which positions the rows of ``given`` are.
        logits: dz, on the U rows ``beside``; None: no edit reaches the logits.
        beside: which positions the rows of ``logits`` are.
        rows_out: which positions of the output are wanted, W a site.
        original: the unedited x.
        original_logits: the unedited z.
        taps: positions of a cell.
        stride: inputs from one cell to the next.
        length_in: positions of the input; what lies behind them takes no part.
        length: positions of the output.

    Returns:
        The deltas, in the units of x.

    Raises:
        TypeError: a tensor has another dtype.
        ValueError: shapes or devices disagree, both deltas are missing, or a sequence is not among the
            originals.
    """
    out: Tensor = torch.ops.nucleoscope.delta_softmax_pool.default(
        given, *(rows_in or (None, ())), logits, *(beside or (None, ())), *rows_out,
        *original, *original_logits, [taps, stride, length_in, length],
    )  # fmt: skip
    return out


class _Call:
    """The arguments of one call, put together again and checked."""

    def __init__(self, *args: Any) -> None:
        (
            self.given, in_starts, in_widths, self.logits, starts, widths, out_starts, out_widths,
            x, x_sequence, x_first, z, z_sequence, z_first, sizes,
        ) = args  # fmt: skip
        self.rows_in = None if in_starts is None else Rows(in_starts, tuple(in_widths))
        self.beside = None if starts is None else Rows(starts, tuple(widths))
        self.rows_out = Rows(out_starts, tuple(out_widths))
        self.original = Original(x, x_sequence, x_first)
        self.original_logits = Original(z, z_sequence, z_first)
        self.taps, self.stride, self.length_in, self.length = sizes
        self._check()

    def _check(self) -> None:
        arguments, kind = Arguments("delta_softmax_pool"), self.like.dtype
        for name, axes, values, on, rows in (
            ("given", "VSEC", self.given, "rows_in", self.rows_in),
            ("logits", "USEC", self.logits, "beside", self.beside),
        ):
            if values is None:
                continue
            arguments.read(name, values, axes, *_kinds(kind))
            if rows is None:
                raise ValueError(
                    f"delta_softmax_pool: {name} is given; say with {on}= which rows it is on"
                )
            _rows.read_rows(arguments, on, rows, values.shape[0])
        _rows.read_rows(arguments, "rows_out", self.rows_out, None)
        _rows.read_original(arguments, "original", self.original, "C", kind)
        _rows.read_original(arguments, "original_logits", self.original_logits, "C", kind)
        if min(self.taps, self.stride) < 1:
            raise ValueError(
                f"delta_softmax_pool: taps={self.taps} and stride={self.stride} must be at least 1"
            )

    @property
    def like(self) -> Tensor:
        """The delta that is given, or one of them."""
        return _either(self.given, self.logits)

    def _dense(self) -> tuple[Any, ...]:
        """The arguments, contiguous, and a place for the output."""
        given, logits = (None if t is None else t.contiguous() for t in (self.given, self.logits))
        rows_in, beside = (
            None if rows is None else _rows.dense_rows(rows) for rows in (self.rows_in, self.beside)
        )
        x, z = map(_rows.dense_original, (self.original, self.original_logits))
        out = self.like.new_empty(sum(self.rows_out.widths), *self.like.shape[1:])
        return given, rows_in, logits, beside, _rows.dense_rows(self.rows_out), x, z, out

    def launched(self) -> Tensor:
        from nucleoscope.kernels.delta_softmax_pool import delta_softmax_pool as launch

        *given, out = self._dense()
        launch(
            *given,
            out,
            taps=self.taps,
            stride=self.stride,
            length_in=self.length_in,
            length=self.length,
        )
        made: Tensor = out
        return made

    def compiled(self) -> Tensor:
        given, rows_in, logits, beside, rows_out, x, z, out = self._dense()
        _COMPILED[out.dtype](
            0 if given is None else given.data_ptr(),
            _rows.NO_ROWS if rows_in is None else _rows.pieces(rows_in),
            0 if logits is None else logits.data_ptr(),
            _rows.NO_ROWS if beside is None else _rows.pieces(beside),
            _rows.pieces(rows_out),
            _rows.kept(x),
            _rows.kept(z),
            out.data_ptr(),
            [*out.shape[2:], self.taps, self.stride, self.length_in, self.length],
            torch.get_num_threads(),
        )
        made: Tensor = out
        return made

    def plain(self) -> Tensor:
        return naive.delta_softmax_pool(
            self.given, self.rows_in, self.logits, self.beside, self.rows_out, self.original,
            self.original_logits, taps=self.taps, stride=self.stride, length_in=self.length_in,
            length=self.length,
        )  # fmt: skip


def _kinds(kind: torch.dtype) -> tuple[torch.dtype, ...]:
    """What both deltas must be: the first one's type, if there are ops for it."""
    return (kind,) if kind in _COMPILED else tuple(_COMPILED)


def _either(given: Tensor | None, logits: Tensor | None) -> Tensor:
    like = logits if given is None else given
    if like is None:
        raise ValueError(
            "delta_softmax_pool: neither given nor logits; there is no change: give one"
        )
    return like


def _fake(*args: Any) -> Tensor:
    like = _either(args[0], args[3])
    return like.new_empty(sum(args[7]), *like.shape[1:])


def _cpu(*args: Any) -> Tensor:
    return _Call(*args).compiled()


def _cuda(*args: Any) -> Tensor:
    return _Call(*args).launched()


def _other(*args: Any) -> Tensor:
    return _Call(*args).plain()


register(
    "delta_softmax_pool(Tensor? given, Tensor? in_starts, int[] in_widths, Tensor? logits, "
    "Tensor? starts, int[] widths, Tensor out_starts, int[] out_widths, Tensor x, "
    "Tensor x_sequence, int x_first, Tensor z, Tensor z_sequence, int z_first, int[] sizes) -> Tensor",
    fake=_fake,
    cpu=_cpu,
    cuda=_cuda,
    other=_other,
)
