"""Layers in a row: see ``nucleoscope.ops.delta_chain`` for the contract.

One launch a layer, in order on the current stream; nothing is read back, so nobody waits. A value is given
back to the allocator as soon as the last link that takes it is launched.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .delta_concat import delta_concat
from .delta_conv import delta_conv
from .delta_layer_norm import delta_layer_norm
from .delta_max_pool import delta_max_pool
from .delta_pointwise import delta_pointwise
from .delta_product import delta_product
from .delta_softmax_pool import delta_softmax_pool
from .delta_sum import delta_sum
from .edit_lookup import look_up_at

# Deltas [V, S, E, C] and their rows; None, None: no edit reaches it.
Value = tuple[Any, Any]


def delta_chain(
    links: Sequence[Any],  # Link
    letters: Any,  # Letters
    given: Sequence[Value],
    outs: dict[int, Tensor],  # for the values asked for: [W, S, E, C] contiguous, written in full
    like: Tensor,  # of the chain's dtype and device
) -> None:
    """Launch every link on contiguous arguments."""
    values: list[Any] = list(given)
    known = _known(links, letters.sequence)
    last = {v: at for at, link in enumerate(links) for v in (link.given, link.beside)}
    for at, link in enumerate(links):
        shape = (sum(link.rows.widths), *letters.new.shape, link.channels)
        out = outs.get(len(values))
        out = like.new_empty(shape) if out is None else out
        two = [values[v] if v >= 0 else (None, None) for v in (link.given, link.beside)]
        if out.numel():
            _launch(link, two, letters, known, out)
        values.append((out, link.rows))
        for v in (link.given, link.beside):
            if v >= 0 and last[v] == at:
                values[v] = None


def _known(links: Sequence[Any], sequence: Tensor) -> Tensor:
    """The sequences, within what convolutions keep of them: of one that is not there the first layer is NaN."""
    many = [len(k.original.values) for k in links if k.op == "delta_conv" and k.original]
    return sequence.clamp(0, min(many) - 1) if many else sequence


def _launch(link: Any, two: list[Value], letters: Any, known: Tensor, out: Tensor) -> None:
    """The op of a link on its two values."""
    (given, rows_in), (beside, rows) = two
    sequence = known if link.op == "delta_conv" else letters.sequence
    z, other = (k and (k.values, sequence, k.first) for k in (link.original, link.second))
    geometry: dict[str, Any] = {"stride": link.stride, "pad": link.pad, "length": link.length}
    spread = {**geometry, "dilation": link.dilation}
    cell: dict[str, Any] = {"taps": link.taps, "length_in": link.length_in}
    match link.op:
        case "edit_lookup":
            at = (letters.site, letters.old, letters.new, link.rows)
            look_up_at(link.weight, *at, z, link.function, link.parameters, out, **spread)
        case "delta_conv":
            given, rows_in = (given, rows_in) if rows_in is not None else _nothing(link, letters)
            delta_conv(
                given, rows_in, link.weight, link.rows, out, channels=link.channels, original=z,
                residual=beside, beside=rows, residual_first=link.residual_first,
                precision="tf32" if link.tf32 else "fp32", **spread,
            )  # fmt: skip
        case "delta_max_pool":
            delta_max_pool(
                given, rows_in, link.rows, z, other, out, **cell, **spread, relu=link.relu
            )
        case "delta_pointwise":
            delta_pointwise(given, link.rows, z, link.length, link.function, link.parameters, out)
        case "delta_layer_norm":
            norm: dict[str, Any] = {
                "wide": link.wide,
                "weight": link.weight,
                "eps": link.eps,
                "limit": link.limit,
            }
            delta_layer_norm(given, link.rows, z, link.length, out, **norm)
        case "delta_product":
            factors = [(given, rows_in, z), (beside, rows, other)]
            delta_product(factors, link.rows, out, length=link.length)
        case "delta_softmax_pool":
            step: dict[str, Any] = {"stride": link.stride, "length": link.length}
            delta_softmax_pool(
                given, rows_in, beside, rows, link.rows, z, other, out, **cell, **step
            )
        case "delta_concat":
            firsts = (0, 0 if beside is None else link.channels - beside.shape[3])
            parts = [(*v, first) for v, first in zip(two, firsts, strict=True) if v[0] is not None]
            delta_concat(parts, link.rows, out, length=link.length)
        case "delta_sum":
            terms = [(*v, by) for v, by in zip(two, link.factors, strict=True) if v[0] is not None]
            delta_sum(terms, link.rows, out, taps=link.taps, scale=link.weight, **geometry)


def _nothing(link: Any, letters: Any) -> tuple[Tensor, tuple[Tensor, tuple[int, ...]]]:
    """A delta without rows, for a convolution of which only the residual is reached."""
    depthwise = link.weight.ndim == 2
    groups, wide = (link.channels, 1) if depthwise else link.weight.shape[::3]
    in_pairs = link.weight.dtype == torch.int32
    kind, many = (torch.float32, 2 * wide) if in_pairs else (link.weight.dtype, wide)
    none = link.weight.new_zeros(0, *letters.new.shape, groups * many, dtype=kind)
    return none, (letters.site.new_zeros(0, len(letters.site)), ())
