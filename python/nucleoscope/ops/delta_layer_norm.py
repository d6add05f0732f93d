"""LayerNorm of a delta."""

from __future__ import annotations

import math
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
    torch.float32: _C.delta_layer_norm_float32, torch.float64: _C.delta_layer_norm_float64
}  # fmt: skip


def delta_layer_norm(
    given: Tensor,  # [W, S, E, C] float32 or float64
    rows: Rows,
    original: Original,  # of the LayerNorm's input
    length: int,
    *,
    wide: int,
    weight: Tensor | None = None,  # [wide]
    eps: float = 1e-5,
    limit: float = math.inf,
) -> Tensor:  # [W, S, E, C]
    """Change of LayerNorm over groups of channels where its input z changes by the given delta.

    Not written as a difference of two values: the changes of mean and standard deviation are taken
    from the delta itself, so that a small one is not lost beside a large z. Not differentiable.

    Equivalent to::

        z, d = z - z.mean(), given - given.mean()  # over each group of channels, as all that follows
        was, now = rsqrt((z * z).mean() + eps), rsqrt(((z + d) * (z + d)).mean() + eps)
        weight * ((z + d) * now - z * was)

    where z is the original at each row's position; rows beyond the layer's ends get zeros.

    z and the delta are rounded, and LayerNorm divides that error by the standard deviation. Where an
    edit lets this collapse, what is left of the group may be rounding alone: `limit` says when.

    Args:
        given: deltas of E edits at each of S sites, on W rows.
        rows: which positions the rows are.
        original: the unedited z.
        length: positions of the layer.
        wide: channels of a group, next to each other; C is a multiple of it.
        weight: a factor for each channel of a group; None: 1.
        eps: what is added to the variance.
        limit: a changed group is all NaN where its largest z is more than so many standard deviations
            (the smaller of the one before and the one behind the edit), or its largest delta than so
            many of the edited one.

    Returns:
        The deltas behind the LayerNorm, on the same rows.

    Raises:
        TypeError: a tensor has another dtype.
        ValueError: shapes or devices disagree, the groups do not fit, or a sequence is not among the
            originals.
    """
    out: Tensor = torch.ops.nucleoscope.delta_layer_norm.default(
        given, *rows, *original, weight, length, wide, eps, limit
    )
    return out


class _Call:
    """The arguments of one call, put together again and checked."""

    def __init__(
        self, given: Tensor, starts: Tensor, widths: list[int], z: Tensor, sequence: Tensor,
        first: int, weight: Tensor | None, length: int, wide: int, eps: float,
        limit: float,
    ) -> None:  # fmt: skip
        self.given, self.weight = given, weight
        self.rows, self.original = Rows(starts, tuple(widths)), Original(z, sequence, first)
        self.length, self.wide, self.eps, self.limit = length, wide, eps, limit
        arguments = Arguments("delta_layer_norm")
        arguments.read("given", given, "WSEC", torch.float32, torch.float64)
        _rows.read_rows(arguments, "rows", self.rows, given.shape[0])
        _rows.read_original(arguments, "original", self.original, "C", given.dtype)
        if weight is not None:
            arguments.read("weight", weight, "I", given.dtype)
        if wide < 1 or given.shape[3] % wide:
            raise ValueError(
                f"delta_layer_norm: wide={wide} channels a group do not divide {given.shape[3]}"
            )
        if weight is not None and len(weight) != wide:
            raise ValueError(
                f"delta_layer_norm: weight {list(weight.shape)} is not for wide={wide} channels"
            )

    def compiled(self) -> Tensor:
        given, rows = self.given.contiguous(), _rows.dense_rows(self.rows)
        original = _rows.dense_original(self.original)
        weight = None if self.weight is None else self.weight.contiguous()
        out = torch.empty_like(given)
        _COMPILED[given.dtype](
            given.data_ptr(),
            _rows.pieces(rows),
            _rows.kept(original),
            0 if weight is None else weight.data_ptr(),
            out.data_ptr(),
            [given.shape[2], given.shape[3], self.wide, self.length],
            [self.eps, self.limit],
            torch.get_num_threads(),
        )
        return out

    def launched(self) -> Tensor:
        from nucleoscope.kernels.delta_layer_norm import delta_layer_norm as launch

        out = self.given.new_empty(self.given.shape)
        launch(
            self.given.contiguous(), _rows.dense_rows(self.rows), _rows.dense_original(self.original),
            self.length, out, wide=self.wide, eps=self.eps, limit=self.limit,
            weight=None if self.weight is None else self.weight.contiguous(),
        )  # fmt: skip
        return out

    def plain(self) -> Tensor:
        return naive.delta_layer_norm(
            self.given, self.rows, self.original, self.length,
            wide=self.wide, weight=self.weight, eps=self.eps, limit=self.limit,
        )  # fmt: skip


def _fake(given: Tensor, *_: Any) -> Tensor:
    return given.new_empty(given.shape)


def _cpu(*args: Any) -> Tensor:
    return _Call(*args).compiled()


def _cuda(*args: Any) -> Tensor:
    return _Call(*args).launched()


def _other(*args: Any) -> Tensor:
    return _Call(*args).plain()


register(
    "delta_layer_norm(Tensor given, Tensor starts, int[] widths, Tensor z, Tensor sequence, "
    "int first, Tensor? weight, int length, int wide, float eps, float limit) -> Tensor",
    fake=_fake,
    cpu=_cpu,
    cuda=_cuda,
    other=_other,
)
