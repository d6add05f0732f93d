"""Insertions and deletions base by base: the alternative's outputs, made where they are looked at alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.edits.verify import Disagreement
from nucleoscope.engine.indels.aligned import aligned
from nucleoscope.engine.planning.near import Near
from nucleoscope.engine.prepare import Asked, forward
from nucleoscope.engine.rows import Ints
from nucleoscope.engine.values.cuts import Cut
from nucleoscope.engine.values.forward import Forward
from nucleoscope.engine.values.partial import Partial
from nucleoscope.methods.edits.variants import Variants

ROUNDING = 1e-4  # of the largest output: by how much two forwards of one sequence may differ


def alternatives(asked: Asked, read: Read, near: Near, variants: Variants) -> Tensor:
    """The alternatives' outputs near each variant, laid beside the original's: [M, T, W], NaN beyond the ends.

    Each layer is made where the outputs that are looked at read it. Source of the layout: `engine.indels.aligned`.

    Equivalent to::

        after = model(X[n, :, :position] + one_hot(alt) + X[n, :, position + len(ref):])[:, target]
        aligned(after)[position - around :][: 2 * around + 1]
    """
    held = forward(asked, read).forward
    if asked.short_sums:
        held = held.brief()  # faster than torch's convolutions, and a digit nearer to float64
    found = [
        _beside(_made(asked, held, near, one, inputs), near, one)
        for one, inputs in _edited(asked, variants)
    ]
    return torch.stack(found)


def hold(asked: Asked, near: Near, variants: Variants, found: Tensor, picks: Ints) -> str:
    """Hold one variant's to the model itself; raises Disagreement."""
    ((one, inputs),) = _edited(asked, variants)
    with torch.no_grad():
        whole = asked.model(*(each.to(asked.home) for each in inputs)).cpu().flatten(1)
    tracks = whole[0, torch.from_numpy(picks)]
    first, wide = _place(near, one)
    padded = tracks.new_full((len(tracks), wide), torch.nan)
    lo, hi = max(first, 0), min(first + wide, tracks.shape[1])
    padded[:, lo - first : hi - first] = tracks[:, lo:hi]
    off = float((_beside(padded, near, one) - found[0]).abs().nan_to_num().max())
    allowed = ROUNDING * float(tracks.abs().max())
    if not off <= allowed:
        raise Disagreement(
            f"the engine and the model disagree about an allele of another length at position "
            f"{int(one.position[0])}: by {off:.1e}, allowed {allowed:.1e}"
        )
    return f"an allele of another length: off by {off:.1e} of {float(tracks.abs().max()):.1e}"


def _edited(asked: Asked, variants: Variants) -> Iterator[tuple[Variants, list[Tensor]]]:
    """One by one, with the model's inputs: X with the alternative in it, at its length, and the others."""
    axis = 2 if asked.sequences.layout == "NCL" else 1
    for at in range(len(variants)):
        n, begin = int(variants.sequence[at]), int(variants.position[at])
        X, *others = asked.part(n, n + 1)
        letters = torch.eye(X.shape[3 - axis]).to(X)[torch.from_numpy(variants.alt[at])][None]
        put = letters.mT if axis == 2 else letters
        end, length = begin + len(variants.ref[at]), X.shape[axis]
        parts = [X.narrow(axis, 0, begin), put, X.narrow(axis, end, length - end)]
        short = max(length - begin - len(variants.alt[at]) - (length - end), 0)
        parts.append(X.new_zeros([short if d == axis else size for d, size in enumerate(X.shape)]))
        yield variants.part(at), [torch.cat(parts, axis).narrow(axis, 0, length), *others]


def _place(near: Near, one: Variants) -> tuple[int, int]:
    """The output's first position that is read of an alternative, and how many."""
    longer = max(len(one.alt[0]) - len(one.ref[0]), 0)
    return int(one.position[0]) - near.around - near.offset, near.width + longer


def _made(asked: Asked, held: Forward, near: Near, one: Variants, inputs: list[Tensor]) -> Tensor:
    """[T, V] by a forward of these positions alone."""
    graph = held.graph
    axes = graph.nodes[graph.output].axes
    assert axes is not None
    first, wide = _place(near, one)
    cut = Cut(first, 1, wide).within(axes.length)
    made = torch.full((len(near.channels), wide), torch.nan)
    if not cut.count:
        return made
    names = (graph.edited, *graph.others)
    given = {
        name: each.to(asked.device, asked.dtype if each.is_floating_point() else each.dtype)
        for name, each in zip(names, inputs, strict=True)
    }
    with torch.no_grad():
        output = held.original(given, lambda _n, _v: None, Partial(graph, [(graph.output, cut)]))
    rows = axes.with_length(cut.count).rows(output)
    made[:, cut.first - first : cut.first - first + cut.count] = near.of_values(rows)[0].cpu()
    return made


def _beside(made: Tensor, near: Near, one: Variants) -> Tensor:
    """[T, V] of an alternative -> [T, W] of the original's positions."""
    laid = aligned(made.numpy(), near.around, len(one.ref[0]), len(one.alt[0]))
    return torch.from_numpy(np.ascontiguousarray(laid[:, : near.width]))
