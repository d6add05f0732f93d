"""The meaning of ``delta_chain``."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from nucleoscope.naive.ops._links import Kept, Letters, Link
from nucleoscope.naive.ops._rows import Original, Rows, positions
from nucleoscope.naive.ops.delta_concat import delta_concat
from nucleoscope.naive.ops.delta_conv import delta_conv
from nucleoscope.naive.ops.delta_layer_norm import delta_layer_norm
from nucleoscope.naive.ops.delta_max_pool import delta_max_pool
from nucleoscope.naive.ops.delta_pointwise import delta_pointwise
from nucleoscope.naive.ops.delta_product import delta_product
from nucleoscope.naive.ops.delta_softmax_pool import delta_softmax_pool
from nucleoscope.naive.ops.delta_sum import delta_sum
from nucleoscope.naive.ops.edit_lookup import edit_lookup

Value = tuple[Tensor, Rows]
NAIVE = SimpleNamespace(
    edit_lookup=edit_lookup, delta_conv=delta_conv, delta_max_pool=delta_max_pool,
    delta_pointwise=delta_pointwise, delta_sum=delta_sum, delta_product=delta_product,
    delta_concat=delta_concat,
    delta_layer_norm=delta_layer_norm, delta_softmax_pool=delta_softmax_pool,
)  # fmt: skip


def delta_chain(
    links: list[Link],
    letters: Letters,
    given: list[Value],  # each [V, S, E, C], and its rows
    asked: list[int],
    by: SimpleNamespace = NAIVE,
) -> list[Tensor]:  # each [W, S, E, C]
    """Layer after layer, each an op on earlier values; what the asked-for values are."""
    values = list(given)
    for link in links:
        values.append((_apply(link, values, letters, by), link.rows))
    return [values[index][0] for index in asked]


def _nothing(link: Link, letters: Letters) -> Value:
    """A delta without rows, for a convolution of which only the residual is reached."""
    assert link.weight is not None
    depthwise = link.weight.ndim == 2
    groups, wide = (link.channels, 1) if depthwise else link.weight.shape[::3]
    in_pairs = link.weight.dtype == torch.int32
    kind, many = (torch.float32, 2 * wide) if in_pairs else (link.weight.dtype, wide)
    none = link.weight.new_zeros(0, *letters.new.shape, groups * many, dtype=kind)
    return none, Rows(letters.site.new_zeros(0, len(letters.site)), ())


def _apply(link: Link, values: list[Value], letters: Letters, by: SimpleNamespace) -> Tensor:
    def original(kept: Kept | None) -> Original | None:
        return None if kept is None else Original(kept.values, letters.sequence, kept.first)

    z, second = original(link.original), original(link.second)
    made: Tensor
    if link.op == "edit_lookup":
        made = by.edit_lookup(link.weight, taps_of(link, letters.site), letters.old, letters.new)
        return made if z is None else _change(made, link, z, by)
    if link.op in ("delta_product", "delta_concat", "delta_softmax_pool"):
        return _of_two(link, values, z, second, by)
    source, rows = values[link.given] if link.given >= 0 else _nothing(link, letters)
    if link.op == "delta_pointwise":
        return _change(source, link, z, by)
    if link.op == "delta_layer_norm":
        made = by.delta_layer_norm(
            source, link.rows, z, link.length, wide=link.wide, weight=link.weight, eps=link.eps,
            limit=link.limit,
        )  # fmt: skip
    elif link.op == "delta_conv":
        residual, beside = (None, None) if link.beside < 0 else values[link.beside]
        made = by.delta_conv(
            source, rows, link.weight, link.rows, channels=link.channels, stride=link.stride,
            dilation=link.dilation, pad=link.pad, length=link.length, original=z,
            residual=residual, beside=beside, residual_first=link.residual_first,
            tf32=link.tf32,
        )  # fmt: skip
    elif link.op == "delta_max_pool":
        made = by.delta_max_pool(
            source, rows, link.rows, z, second, taps=link.taps, stride=link.stride,
            dilation=link.dilation, pad=link.pad, length_in=link.length_in, length=link.length,
            relu=link.relu,
        )  # fmt: skip
    else:
        both = zip((link.given, link.beside), link.factors, strict=True)
        terms = [(*values[index], factor) for index, factor in both if index >= 0]
        made = by.delta_sum(
            terms, link.rows, taps=link.taps, stride=link.stride, pad=link.pad, length=link.length,
            scale=link.weight,
        )  # fmt: skip
    return made


def _of_two(
    link: Link, values: list[Value], z: Original | None, other: Original | None, by: SimpleNamespace
) -> Tensor:
    """An op on two values, either of which may have no delta."""
    made: Tensor
    two = [values[index] if index >= 0 else (None, None) for index in (link.given, link.beside)]
    if link.op == "delta_product":
        factors = [(*value, of) for value, of in zip(two, (z, other), strict=True)]
        made = by.delta_product(factors, link.rows, length=link.length)
        return made
    if link.op == "delta_softmax_pool":
        made = by.delta_softmax_pool(
            *two[0], *two[1], link.rows, z, other, taps=link.taps, stride=link.stride,
            length_in=link.length_in, length=link.length,
        )  # fmt: skip
        return made
    firsts = (0, link.channels - (0 if two[1][0] is None else two[1][0].shape[3]))
    parts = [(*v, first) for v, first in zip(two, firsts, strict=True) if v[0] is not None]
    made = by.delta_concat(parts, link.rows, channels=link.channels, length=link.length)
    return made


def _change(given: Tensor, link: Link, z: Original | None, by: SimpleNamespace) -> Tensor:
    made: Tensor = by.delta_pointwise(
        given, link.rows, z, link.length, link.function, link.parameters
    )
    return made


def taps_of(link: Link, site: Tensor) -> Tensor:
    """The tap through which each row [W, S] sees its site's edited position; -1 where none does."""
    where = positions(link.rows)
    past = site + link.pad - where * link.stride
    tap = past // link.dilation
    seen = (past >= 0) & (tap < link.taps) & (tap * link.dilation == past)
    seen &= (where >= 0) & (where < link.length)
    return torch.where(seen, tap, -1).int()
