"""What a filter of a deeper layer fires on: the letters of its field where it is strongest, and their part."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nucleoscope.alphabet import alphabet_of, known
from nucleoscope.models.one_layer import check_layer, up_to, watched


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
    X: Tensor,  # [N, A, L] one-hot
    *args: Tensor,
    filters: list[int] | None = None,
    share: float = 0.5,
    most: int = 100,
    alphabet: str | None = None,
    pseudocount: float = 1.0,
    batch: int = 32,
) -> list[ReceptiveMotif]:
    """A motif of every filter of any local layer, from the sites at which it exceeds a share of its largest value.

    The receptive field is measured: a position that is not a number makes every cell that reads it none. At each
    of the `most` strongest sites the letters of that field are counted, and the slope of the filter's value there,
    less its mean over the four letters, says which of them it is for: positions that are read and do not matter
    have letters and no contribution. `layer` is a module of the model that gives [N, F, cells]. A filter that
    is nowhere above 0 has no sites. Fields that reach over an end, or hold an N, are left out. `batch`
    sequences, or sites, go through the model at once; of a site only its field, where a layer gives the same
    there (one that knows positions does not, nor is a track cut: then the whole sequence).

    Equivalent to::

        letters = mean(X[n, :, field of i] for n, i where layer[n, f, i] > share * layer[:, f].max())
        slope = grad(layer[n, f, i], X)[n, :, field of i]
        contributions = mean(X[n, :, field of i] * (slope - slope.mean(0)))

    Raises ValueError where the layer is not a part of the model, is not run once, gives another shape, or reads
    the whole sequence (behind attention there is no field), and for a model in training mode.

    Source: Kelley et al. 2016 (motifs by activating subsequences); Majdandzic and Koo 2022 (centred slopes).
    """
    check_layer(model, layer)
    alphabet = alphabet_of(model, alphabet)
    if not 0 < share < 1:
        raise ValueError(f"share={share}: a number between 0 and 1")
    for name, count in (("most", most), ("batch", batch)):
        if not isinstance(count, int) or count < 1:
            raise ValueError(f"{name}={count!r}: a number of sites, 1 or more")
    field = measured_field(model, layer, X, *args)
    X = X.detach()
    parts = zip(*(t.split(batch) for t in (X, *args)), strict=True)
    with torch.no_grad():
        values = torch.cat([up_to(model, layer, *part) for part in parts])  # [N, F, cells]
    first = field.first + torch.arange(values.shape[2]) * field.stride
    whole = (first >= 0) & (first + field.width <= X.shape[2])
    starts = first.clamp(0, max(X.shape[2] - field.width, 0))
    clean = known(X, alphabet).unfold(1, field.width, 1).all(2)[:, starts] & whole  # [N, cells]
    slopes = _slopes_by(model, layer, X, args, field, values)
    made = []
    for f in filters if filters is not None else range(values.shape[1]):
        masked = values[:, f].masked_fill(~clean, -torch.inf)
        threshold = share * max(float(masked.max()), 0.0)
        at = (masked > threshold).nonzero() if masked.max() > 0 else masked.new_zeros(0, 2).long()
        order = masked[at[:, 0], at[:, 1]].argsort(descending=True)[:most]
        chosen = at[order]
        windows = X.unfold(2, field.width, 1)[chosen[:, 0], :, starts[chosen[:, 1]]].double()
        own = [slopes(f, sites).double() for sites in chosen.split(batch) if len(sites)]
        part = torch.zeros_like(windows)
        if own:
            slope = torch.cat(own)
            part = windows * (slope - slope.mean(1, keepdim=True))
        filled = windows.sum(0) + pseudocount / X.shape[1]
        total = part.sum(0) / max(len(chosen), 1)
        made.append(ReceptiveMotif(f, len(chosen), threshold, filled / filled.sum(0), total))
    return made


def _slopes_by(
    model: nn.Module, layer: nn.Module, X: Tensor, args: tuple[Tensor, ...], field: Field, values: Tensor
) -> Callable[[int, Tensor], Tensor]:  # fmt: skip
    """What gives the slopes [K, A, width] of a filter at sites [K, 2] over their fields.

    Cell j of a stretch that begins at a multiple of the stride is cell i of the sequence; j is the first whose
    field lies in the stretch.
    """
    cell = max(-(field.first // field.stride), 0)
    inside = field.first + cell * field.stride  # where the field begins in the stretch
    length = inside + field.width

    def run(sites: Tensor, cut: bool) -> tuple[Tensor, Tensor]:  # the inputs, [K, F]
        n, i = sites.T
        at = (i - cell) * field.stride if cut else torch.zeros_like(i)
        rows = X.unfold(2, length if cut else X.shape[2], 1)[n, :, at].clone()
        rows.requires_grad_(torch.is_grad_enabled())
        found = up_to(model, layer, rows, *(t[n] for t in args))
        return rows, found[torch.arange(len(n)), :, cell if cut else i]

    def alone() -> bool:
        """Whether a field by itself gives what it gives in its sequence: asked of cells all along."""
        last = X.shape[2] - length
        whole = [i for i in range(values.shape[2]) if 0 <= (i - cell) * field.stride <= last]
        if args or not whole:
            return False
        some = whole[:: max(len(whole) // 4, 1)]
        sites = torch.tensor([[k % len(X), i] for k, i in enumerate(some)])
        try:
            with torch.no_grad():
                _, found = run(sites, cut=True)
        except (RuntimeError, ValueError, IndexError):  # made for one length
            return False
        want = values[sites[:, 0], :, sites[:, 1]]
        return torch.allclose(found, want, rtol=1e-4, atol=1e-5 * float(values.abs().max()))

    cut = alone()

    def slopes(f: int, sites: Tensor) -> Tensor:
        rows, found = run(sites, cut)
        (slope,) = torch.autograd.grad(found[:, f].sum(), rows)
        i = sites[:, 1]
        begin = torch.full_like(i, inside) if cut else field.first + i * field.stride
        return slope.unfold(2, field.width, 1)[torch.arange(len(i)), :, begin]

    return slopes


@torch.no_grad()
def measured_field(model: nn.Module, layer: nn.Module, X: Tensor, *args: Tensor) -> Field:
    """What a cell of a layer reads, from its first base to its last, with what lies between them and is not read.

    Whether any of the bases before a place is read can only change once along the sequence, so that a field with
    holes, as a dilated layer has, is found exactly by halving.

    Raises ValueError as `receptive_motifs` does.
    """
    check_layer(model, layer)
    length, one = X.shape[2], X[:1]
    others = tuple(t[:1] for t in args)
    _, given = watched(model, layer, one, *others)
    if given.ndim != 3:
        raise ValueError(f"layer: it gave {tuple(given.shape)}; it must give [N, F, cells]")
    cells = given.shape[2]

    def reads(cell: int, bases: slice) -> bool:
        spoilt = one.clone()
        spoilt[:, :, bases] = math.nan
        return bool(up_to(model, layer, spoilt, *others)[0, :, cell].isnan().any())

    def span(cell: int) -> tuple[int, int]:
        if not reads(cell, slice(None)):
            raise ValueError(f"layer: no base reaches its cell {cell}")
        end = _least(lambda k: reads(cell, slice(length - k, None)), length)
        return _least(lambda k: reads(cell, slice(k)), length) - 1, length - end

    middle = cells // 2
    a, b = span(middle)
    if cells < 2 or (a == 0 and b == length - 1):
        raise ValueError(
            "layer: its middle cell reads the whole sequence, so there is no field to align: give a layer in "
            "front of pools over the length and attention, or longer sequences"
        )
    next_a, next_b = span(middle - 1)
    stride = a - next_a
    if stride < 1 or b - next_b != stride:
        raise ValueError(
            f"layer: its middle cells read [{next_a}, {next_b}] and [{a}, {b}], which is not one field moved "
            "along the sequence: give longer sequences, or a layer whose cells are alike"
        )
    return Field(a - middle * stride, stride, b - a + 1)


def _least(reads: Callable[[int], bool], most: int) -> int:
    """The least number of bases, 1 to most, that hold one that is read."""
    low, high = 0, most
    while high - low > 1:
        half = (low + high) // 2
        low, high = (low, half) if reads(half) else (half, high)
    return high
