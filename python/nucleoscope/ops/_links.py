"""How a chain's links are checked, and handed on: to torch as lists, to C++ as numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from nucleoscope.naive.ops import Kept, Link, Rows
from nucleoscope.naive.ops._links import OPS
from nucleoscope.ops import _functions, _rows
from nucleoscope.ops._packed import parts

SIZES, FACTORS = 20, 7  # numbers that one link is in a flat list


class Flat(NamedTuple):
    """Links as torch can take them."""

    starts: list[Tensor]
    widths: list[int]
    tensors: list[Tensor]
    sizes: list[int]
    factors: list[float]


def flatten(links: list[Link], outside: list[Rows]) -> Flat:
    """Lists that ``unflatten`` makes links of again; the rows of the outside values come first."""
    tensors: list[Tensor] = []

    def place(tensor: Tensor | None) -> int:
        if tensor is None:
            return -1
        tensors.append(tensor)
        return len(tensors) - 1

    sizes: list[int] = []
    for index, link in enumerate(links):
        if link.op not in OPS:
            raise ValueError(
                f"delta_chain: links[{index}], {link.op}: no such op; one of {', '.join(OPS)}"
            )
        function = _functions.number(
            f"delta_chain: links[{index}], {link.op}", link.function, link.parameters
        )
        z, m = link.original or Kept(None), link.second or Kept(None)  # type: ignore[arg-type]
        sizes += (
            OPS.index(link.op), link.channels, link.length, link.given, link.beside,
            place(link.weight), place(z.values), z.first, place(m.values), m.first,
            link.taps, link.stride, link.dilation, link.pad,
            link.length_in, link.residual_first, function, link.wide, link.relu, link.tf32,
        )  # fmt: skip
    every = [*outside, *(link.rows for link in links)]
    factors = [f for link in links for f in _factors(link)]
    return Flat([rows.starts for rows in every], _rows.flat_widths(every), tensors, sizes, factors)


def unflatten(flat: Flat, outside: int) -> tuple[list[Link], list[Rows]]:
    """The links, and the rows of the outside values."""
    rows = _rows.with_widths(flat.starts, flat.widths)

    def tensor(index: int) -> Tensor | None:
        return None if index < 0 else flat.tensors[index]

    def kept(index: int, position: int) -> Kept | None:
        return None if index < 0 else Kept(flat.tensors[index], position)

    links = []
    for at, on in enumerate(rows[outside:]):
        sizes = flat.sizes[SIZES * at : SIZES * (at + 1)]
        (op, channels, length, given, beside, weight, z, z_first, m, m_first,
         taps, stride, dilation, pad, length_in, residual_first, function, wide, relu, tf32) = sizes  # fmt: skip
        a, b, *three, eps, limit = flat.factors[FACTORS * at : FACTORS * (at + 1)]
        name, parameters = _functions.named(function, three)
        links.append(
            Link(
                OPS[op], on, channels, length, given, beside, tensor(weight), kept(z, z_first),
                kept(m, m_first), taps, stride, dilation, pad, length_in, bool(residual_first), (a, b), name,
                parameters, wide, eps, limit, bool(relu), bool(tf32),
            )
        )  # fmt: skip
    return links, rows[:outside]


def numbers(link: Link, channels: list[int]) -> tuple[list[int], list[float]]:
    """A link in the order of the C++ struct; `channels` of every value. Its tensors must outlive the call."""
    weight = link.weight
    wide = channels[link.given] if link.given >= 0 else link.channels
    groups, taps = 1, link.taps
    if link.op == "edit_lookup" and weight is not None:
        wide = weight.shape[1]
    if link.op == "delta_conv" and weight is not None:
        groups, taps = parts(weight, wide)
        wide = wide if link.given >= 0 else groups
    bf16 = weight is not None and weight.dtype == torch.int32
    return [
        OPS.index(link.op), link.given, link.beside, wide, link.channels, groups, taps,
        link.stride, link.dilation, link.pad, link.length_in, link.length, link.residual_first, bf16,
        0 if weight is None else weight.data_ptr(),
        *_place(link.original), *_place(link.second),
        _functions.FUNCTIONS.index(link.function), link.wide, link.relu,
    ], _factors(link)  # fmt: skip


def _factors(link: Link) -> list[float]:
    return [*link.factors, *_functions.three(link.parameters), link.eps, link.limit]


def _place(held: Kept | None) -> tuple[int, int, int]:
    return (0, 0, 0) if held is None else (held.values.data_ptr(), held.first, held.values.shape[1])


def dense(link: Link) -> Link:
    """The same link with contiguous tensors."""

    def kept(held: Kept | None) -> Kept | None:
        return None if held is None else Kept(held.values.contiguous(), held.first)

    return replace(
        link,
        rows=_rows.dense_rows(link.rows),
        weight=None if link.weight is None else link.weight.contiguous(),
        original=kept(link.original),
        second=kept(link.second),
    )
