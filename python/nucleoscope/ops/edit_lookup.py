"""The first layer of the delta engine, for which a convolution is a look-up."""

from __future__ import annotations

import torch
from torch import Tensor

from nucleoscope.naive import ops as naive
from nucleoscope.ops._arguments import Arguments
from nucleoscope.ops._extension import _C
from nucleoscope.ops._registration import register

_COMPILED = {torch.float32: _C.edit_lookup_float32, torch.float64: _C.edit_lookup_float64}


def edit_lookup(
    table: Tensor,  # [K, A, C] float32 or float64
    taps: Tensor,  # [W, S] int32
    old: Tensor,  # [S] int32
    new: Tensor,  # [S, E] int32
) -> Tensor:  # [W, S, E, C]
    """Change of a convolution's output when a column of its one-hot input gets another letter.

    An edit changes one input column, and the response to a one-hot column is a row of the weight
    table; so the delta costs one subtraction and no multiplication. Not differentiable.

    Equivalent to::

        out[w, s, e] = table[taps[w, s], new[s, e]] - table[taps[w, s], old[s]]

    where the term of a letter -1 is zero, and ``out[w, s]`` is zero if ``taps[w, s]`` is -1.

    Args:
        table: weight of tap k, letter a, output channel c: ``conv.weight.permute(2, 1, 0)``.
        taps: the tap through which output row w of site s sees the edited column; -1: none.
        old: the letter that stood at each site; -1: none (an N column).
        new: the letters put in its place, E edits a site; -1: none (the column is emptied).

    Returns:
        The deltas, in the units of the convolution's output.

    Raises:
        TypeError: a tensor has another dtype.
        ValueError: shapes or devices disagree, or a tap or letter is outside the table.
    """
    out: Tensor = torch.ops.nucleoscope.edit_lookup.default(table, taps, old, new)
    return out


def _read(table: Tensor, taps: Tensor, old: Tensor, new: Tensor) -> Arguments:
    arguments = Arguments("edit_lookup")
    arguments.read("table", table, "KAC", torch.float32, torch.float64)
    arguments.read("taps", taps, "WS", torch.int32)
    arguments.read("old", old, "S", torch.int32)
    arguments.read("new", new, "SE", torch.int32)
    return arguments


def _check(table: Tensor, taps: Tensor, old: Tensor, new: Tensor) -> None:
    arguments = _read(table, taps, old, new)
    arguments.check_indices("taps", "K")
    arguments.check_indices("old", "A")
    arguments.check_indices("new", "A")


def _empty(table: Tensor, taps: Tensor, new: Tensor) -> Tensor:
    return table.new_empty((*taps.shape, new.shape[1], table.shape[2]))


def _fake(table: Tensor, taps: Tensor, old: Tensor, new: Tensor) -> Tensor:
    _read(table, taps, old, new)
    return _empty(table, taps, new)


def _cpu(table: Tensor, taps: Tensor, old: Tensor, new: Tensor) -> Tensor:
    _check(table, taps, old, new)
    table, taps, old, new = (each.contiguous() for each in (table, taps, old, new))
    out = _empty(table, taps, new)
    _COMPILED[table.dtype](
        table.data_ptr(),
        taps.data_ptr(),
        old.data_ptr(),
        new.data_ptr(),
        out.data_ptr(),
        table.shape[1],
        table.shape[2],
        taps.shape[0],
        taps.shape[1],
        new.shape[1],
        torch.get_num_threads(),
    )
    return out


def _cuda(table: Tensor, taps: Tensor, old: Tensor, new: Tensor) -> Tensor:
    from nucleoscope.kernels.edit_lookup import edit_lookup as launch

    _check(table, taps, old, new)
    table, taps, old, new = (each.contiguous() for each in (table, taps, old, new))
    out = _empty(table, taps, new)
    launch(table, taps, old, new, out)
    return out


def _other(table: Tensor, taps: Tensor, old: Tensor, new: Tensor) -> Tensor:
    _check(table, taps, old, new)
    return naive.edit_lookup(table, taps, old, new)


register(
    "edit_lookup(Tensor table, Tensor taps, Tensor old, Tensor new) -> Tensor",
    fake=_fake,
    cpu=_cpu,
    cuda=_cuda,
    other=_other,
)
