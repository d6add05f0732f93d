"""Layers in a row, in one call."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from nucleoscope.naive import ops as naive
from nucleoscope.naive.ops import Letters, Link, Rows
from nucleoscope.ops import _chain_checks, _links, _rows
from nucleoscope.ops._extension import _C
from nucleoscope.ops._links import Flat
from nucleoscope.ops._registration import register
from nucleoscope.ops.delta_concat import delta_concat
from nucleoscope.ops.delta_conv import delta_conv
from nucleoscope.ops.delta_layer_norm import delta_layer_norm
from nucleoscope.ops.delta_max_pool import delta_max_pool
from nucleoscope.ops.delta_pointwise import delta_pointwise
from nucleoscope.ops.delta_product import delta_product
from nucleoscope.ops.delta_softmax_pool import delta_softmax_pool
from nucleoscope.ops.delta_sum import delta_sum
from nucleoscope.ops.edit_lookup import edit_lookup

_COMPILED = {torch.float32: _C.delta_chain_float32, torch.float64: _C.delta_chain_float64}
_OURS = SimpleNamespace(
    edit_lookup=edit_lookup, delta_conv=delta_conv, delta_max_pool=delta_max_pool,
    delta_pointwise=delta_pointwise, delta_sum=delta_sum, delta_product=delta_product,
    delta_concat=delta_concat,
    delta_layer_norm=delta_layer_norm, delta_softmax_pool=delta_softmax_pool,
)  # fmt: skip


def delta_chain(
    links: list[Link],
    letters: Letters,
    given: list[tuple[Tensor, Rows]],  # each [V, S, E, C], and its rows
    asked: list[int],
) -> list[Tensor]:  # each [W, S, E, C]
    """The deltas behind several layers, without storing what lies between.

    A few sites at a time go through all layers, so that their deltas stay in the cache. Values are
    numbered: first the given ones, then one a link; a link takes earlier values by their numbers. Not
    differentiable.

    Equivalent to::

        values = [value for value, _ in given]
        for link in links:  # edit_lookup or any delta op
            values.append(link.op(values[link.given], values[link.beside], ...))
        [values[index] for index in asked]

    An edit_lookup with an ``original`` is followed by a delta_pointwise. A delta_concat has ``given`` in its
    first channels and ``beside`` in its last.

    Args:
        links: the layers.
        letters: the edits. E letters at each of S sites.
        given: deltas that are there already, and the rows they are on.
        asked: numbers of the values that are wanted; of links only.

    Returns:
        The deltas of the values asked for, in the units of their layers.

    Raises:
        TypeError: a tensor has another dtype.
        ValueError: shapes or devices disagree, a link lacks what its op needs or takes a value that is
            not before it, or letters or sequences are not there. (On a GPU these give NaN: to ask first
            would be to wait for the device.)
    """
    values, outside = [v for v, _ in given], [rows for _, rows in given]
    out: list[Tensor] = torch.ops.nucleoscope.delta_chain.default(
        *letters, values, *_links.flatten(links, outside), asked
    )
    return out


def _read(
    args: tuple[Any, ...], *, waits: bool = True
) -> tuple[list[Link], Letters, list[tuple[Tensor, Rows]], list[int]]:
    letters, values, flat, asked = Letters(*args[:4]), args[4], Flat(*args[5:10]), args[10]
    links, outside = _links.unflatten(flat, len(values))
    given = list(zip(values, outside, strict=True))
    _chain_checks.check(links, letters, given, asked, waits=waits)
    return links, letters, given, asked


def _fake(*args: Any) -> list[Tensor]:
    new, values, flat, asked = args[3], args[4], Flat(*args[5:10]), args[10]
    links, _ = _links.unflatten(flat, len(values))
    like = _chain_checks.like(links, values)
    return [
        like.new_empty(sum(link.rows.widths), *new.shape, link.channels)
        for link in (links[index - len(values)] for index in asked)
    ]


def _dense(
    links: list[Link], letters: Letters, given: list[tuple[Tensor, Rows]], asked: list[int]
) -> tuple[list[Link], Letters, list[tuple[Tensor, Rows]], Tensor, dict[int, Tensor]]:
    """The same arguments, contiguous, a tensor like all values, and a place for each that is asked for."""
    links = [_links.dense(link) for link in links]
    letters = Letters(*(each.contiguous() for each in letters))
    held = [(values.contiguous(), _rows.dense_rows(rows)) for values, rows in given]
    like = _chain_checks.like(links, [values for values, _ in held])
    kept = {
        index: like.new_empty(
            sum(links[index - len(held)].rows.widths), *letters.new.shape, links[index - len(held)].channels
        )
        for index in asked
    }  # fmt: skip
    return links, letters, held, like, kept


def _cpu(*args: Any) -> list[Tensor]:
    links, letters, given, asked = _read(args)
    links, letters, held, like, kept = _dense(links, letters, given, asked)
    channels = [values.shape[3] for values, _ in held] + [link.channels for link in links]
    _COMPILED[like.dtype](
        [_links.numbers(link, channels) for link in links],
        [_rows.pieces(rows) for rows in (*(rows for _, rows in held), *(k.rows for k in links))],
        [values.data_ptr() for values, _ in held],
        channels[: len(held)],
        [kept[i].data_ptr() if i in kept else 0 for i in range(len(held), len(channels))],
        [each.data_ptr() for each in letters],
        list(letters.new.shape),
        torch.get_num_threads(),
    )
    return [kept[index] for index in asked]


def _cuda(*args: Any) -> list[Tensor]:
    from nucleoscope.kernels.delta_chain import delta_chain as launch

    links, letters, given, asked = _read(args, waits=False)
    links, letters, held, like, kept = _dense(links, letters, given, asked)
    launch(links, letters, held, kept, like)
    return [kept[index] for index in asked]


def _other(*args: Any) -> list[Tensor]:
    links, letters, given, asked = _read(args)
    return naive.delta_chain(links, letters, given, asked, by=_OURS)


register(
    "delta_chain(Tensor sequence, Tensor site, Tensor old, Tensor fresh, Tensor[] given, "
    "Tensor[] starts, int[] widths, Tensor[] tensors, int[] sizes, float[] factors, int[] asked) "
    "-> Tensor[]",
    fake=_fake,
    cpu=_cpu,
    cuda=_cuda,
    other=_other,
)
