"""What a filter of a deeper layer fires on: the letters of its field where it is strongest, and their part."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Field(NamedTuple):
    """What cell i of a layer reads of the sequence: [first + i * stride, first + i * stride + width)."""

    first: int
    stride: int
    width: int


class ReceptiveMotif(NamedTuple):
    """A filter's motif over its receptive field."""

    filter: int
    sites: int
    threshold: float  # in the units of the layer
    probabilities: Tensor  # [4, width] of the letters at its sites
    contributions: Tensor  # [4, width] mean of slope (less its mean over letters) at the letter there, by letter


def receptive_motifs(
    model: nn.Module,
    layer: nn.Module,
    X: Tensor,  # [N, 4, L] one-hot
    *args: Tensor,
    filters: list[int] | None = None,
    share: float = 0.5,
    most: int = 100,
    pseudocount: float = 1.0,
) -> list[ReceptiveMotif]:
    """A motif of every filter of any local layer, from the sites at which it exceeds a share of its largest value.

    The receptive field is measured: a position that is not a number makes every cell that reads it none. At each
    of the `most` strongest sites the letters of that field are counted, and the slope of the filter's value there,
    less its mean over the four letters, says which of them it is for: positions that are read and do not matter
    have letters and no contribution. `layer` is a module of the model that gives [N, F, cells]. A filter that
    is nowhere above 0 has no sites. Fields that reach over an end, or hold an N, are left out.

    Equivalent to::

        letters = mean(X[n, :, field of i] for n, i where layer[n, f, i] > share * layer[:, f].max())
        slope = grad(layer[n, f, i], X)[n, :, field of i]
        contributions = mean(X[n, :, field of i] * (slope - slope.mean(0)))

    Raises ValueError where the layer is not a part of the model, is not run once, gives another shape, or reads
    the whole sequence (behind attention there is no field).

    Source: Kelley et al. 2016 (motifs by activating subsequences); Majdandzic and Koo 2022 (centred slopes).
    """
    if all(layer is not module for module in model.modules()):
        raise ValueError("layer: it is not a part of the model")
    if not 0 < share < 1:
        raise ValueError(f"share={share}: a number between 0 and 1")
    field = measured_field(model, layer, X, *args)
    given = X.detach().clone().requires_grad_()
    values = _seen(model, layer, given, args)  # [N, F, cells]
    first = field.first + torch.arange(values.shape[2]) * field.stride
    whole = (first >= 0) & (first + field.width <= X.shape[2])
    known = (X.amax(1) == 1) & (X.sum(1) == 1)
    starts = first.clamp(0, max(X.shape[2] - field.width, 0))
    clean = known.unfold(1, field.width, 1).all(2)[:, starts] & whole  # [N, cells]
    made = []
    for f in filters if filters is not None else range(values.shape[1]):
        masked = values[:, f].detach().masked_fill(~clean, -torch.inf)
        threshold = share * max(float(masked.max()), 0.0)
        at = (masked > threshold).nonzero() if masked.max() > 0 else masked.new_zeros(0, 2).long()
        order = masked[at[:, 0], at[:, 1]].argsort(descending=True)[:most]
        made.append(
            _motif(f, at[order], values, given, starts, field.width, threshold, pseudocount)
        )
    return made


def _motif(
    f: int, at: Tensor, values: Tensor, given: Tensor, starts: Tensor, width: int, threshold: float,
    pseudocount: float,
) -> ReceptiveMotif:  # fmt: skip
    """One filter's letters and contributions at its sites [K, 2]."""
    counts = torch.zeros(given.shape[1], width, dtype=torch.float64)
    part = torch.zeros_like(counts)
    for n, cell in at.tolist():
        window = slice(int(starts[cell]), int(starts[cell]) + width)
        (slope,) = torch.autograd.grad(values[n, f, cell], given, retain_graph=True)
        letters = given[n, :, window].detach().double()
        own = slope[n, :, window].double()
        counts += letters
        part += letters * (own - own.mean(0))
    filled = counts + pseudocount / len(counts)
    return ReceptiveMotif(f, len(at), threshold, filled / filled.sum(0), part / max(len(at), 1))


@torch.no_grad()
def measured_field(model: nn.Module, layer: nn.Module, X: Tensor, *args: Tensor) -> Field:
    """What a cell of a layer reads, from which cells a position that is not a number reaches.

    Raises ValueError as `receptive_motifs` does.
    """
    length = X.shape[2]
    one = X[:1]
    others = tuple(t[:1] for t in args)
    cells = _seen(model, layer, one, others).shape[2]
    middle = cells // 2

    def reached(position: int) -> Tensor:
        spoilt = one.clone()
        spoilt[:, :, position] = math.nan
        return _seen(model, layer, spoilt, others)[0].isnan().any(0)

    def span(cell: int) -> tuple[int, int]:
        inside = min(int((cell + 0.5) * length / cells), length - 1)
        near = sorted(range(length), key=lambda p: abs(p - inside))
        home = next((p for p in near if reached(p)[cell]), None)
        if home is None:
            raise ValueError("layer: no base reaches its middle cell")
        low = _edge(lambda d: bool(reached(home - d)[cell]), home)
        high = _edge(lambda d: bool(reached(home + d)[cell]), length - 1 - home)
        return home - low, home + high

    a, b = span(middle)
    if cells < 2 or (a == 0 and b == length - 1):
        raise ValueError(
            "layer: its middle cell reads the whole sequence, so there is no field to align: give a layer in "
            "front of pools over the length and attention, or longer sequences"
        )
    next_a, _ = span(middle - 1)
    stride = a - next_a
    if stride < 1:
        raise ValueError("layer: neighbouring cells do not move along the sequence")
    return Field(a - middle * stride, stride, b - a + 1)


def _edge(reads: Callable[[int], bool], limit: int) -> int:
    """The largest distance at which a cell still reads, by bisection: a field is in one piece."""
    low, high = 0, limit + 1
    while high - low > 1:
        half = (low + high) // 2
        low, high = (half, high) if reads(half) else (low, half)
    return low


def _seen(model: nn.Module, layer: nn.Module, x: Tensor, args: tuple[Tensor, ...]) -> Tensor:
    """What the layer gives for x, [N, F, cells]."""
    held: list[Tensor] = []
    hook = layer.register_forward_hook(lambda _m, _i, made: held.append(made))
    try:
        model(x, *args)
    finally:
        hook.remove()
    if len(held) != 1 or held[0].ndim != 3:
        shape = tuple(held[0].shape) if held else None
        raise ValueError(
            f"layer: it was run {len(held)} times in a forward and gave {shape}; it must be run once and give "
            "[N, F, cells]"
        )
    return held[0]
