"""Insertions and deletions base by base: the alternative's outputs, made where they are looked at alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Shifted:
    """Where outputs are looked at around insertions and deletions, in one view."""

    asked: Asked
    near: Near  # of the view
    around: int  # of the first strand
    picks: Ints  # [T, P] numbers of one output
    mirrored: bool

    def alternatives(self, read: Read, variants: Variants) -> Tensor:
        """The alternatives' outputs near each variant, laid beside the original's: [M, T, W].

        NaN beyond the ends. Each layer is made where the outputs that are looked at read it. Source of the
        layout: `engine.indels.aligned`.

        Equivalent to (on the first strand)::

            after = model(X[n, :, :position] + one_hot(alt) + X[n, :, position + len(ref):])[:, target]
            aligned(after)[position - around :][: 2 * around + 1]
        """
        held = forward(self.asked, read).forward
        if self.asked.short_sums:
            held = held.brief()  # faster than torch's convolutions, and a digit nearer to float64
        found = [
            self._beside(self._made(held, one, inputs), one)
            for one, inputs in self._edited(variants)
        ]
        return torch.stack(found)

    def hold(self, variants: Variants, found: Tensor) -> str:
        """Hold one variant's to the model itself; raises Disagreement."""
        ((one, inputs),) = self._edited(variants)
        with torch.no_grad():
            given = (each.to(self.asked.home) for each in inputs)
            whole = self.asked.model(*given).cpu().flatten(1)
        tracks = whole[0, torch.from_numpy(self.picks)]
        first, wide = self._place(one)
        padded = tracks.new_full((len(tracks), wide), torch.nan)
        lo, hi = max(first, 0), min(first + wide, tracks.shape[1])
        padded[:, lo - first : hi - first] = tracks[:, lo:hi]
        off = float((self._beside(padded, one) - found[0]).abs().nan_to_num().max())
        allowed = ROUNDING * float(tracks.abs().max())
        if not off <= allowed:
            raise Disagreement(
                f"the engine and the model disagree about an allele of another length at position "
                f"{int(one.position[0])}: by {off:.1e}, allowed {allowed:.1e}"
            )
        return f"an allele of another length: off by {off:.1e} of {float(tracks.abs().max()):.1e}"

    def _edited(self, variants: Variants) -> Iterator[tuple[Variants, list[Tensor]]]:
        """One by one, with the model's inputs: X with the alternative in it, at its length, and the others.

        The end that is trimmed or filled up is the right one of the first strand.
        """
        axis = 2 if self.asked.sequences.layout == "NCL" else 1
        for at in range(len(variants)):
            n, begin = int(variants.sequence[at]), int(variants.position[at])
            X, *others = self.asked.part(n, n + 1)
            letters = torch.eye(X.shape[3 - axis]).to(X)[torch.from_numpy(variants.alt[at])][None]
            put = letters.mT if axis == 2 else letters
            end, length = begin + len(variants.ref[at]), X.shape[axis]
            parts = [X.narrow(axis, 0, begin), put, X.narrow(axis, end, length - end)]
            short = max(length - sum(part.shape[axis] for part in parts), 0)
            filling = X.new_zeros([short if d == axis else s for d, s in enumerate(X.shape)])
            whole = torch.cat([filling, *parts] if self.mirrored else [*parts, filling], axis)
            first = whole.shape[axis] - length if self.mirrored else 0
            yield variants.part(at), [whole.narrow(axis, first, length), *others]

    def _place(self, one: Variants) -> tuple[int, int]:
        """The alternative's first output position that is read, and how many."""
        ref, alt = len(one.ref[0]), len(one.alt[0])
        wide = 2 * self.around + 1 + max(alt - ref, 0)
        first = int(one.position[0]) - self.near.offset
        if not self.mirrored:
            return first - self.around, wide
        return first + ref - 1 + self.around - wide + 1, wide

    def _made(self, held: Forward, one: Variants, inputs: list[Tensor]) -> Tensor:
        """[T, V] by a forward of these positions alone."""
        graph, asked = held.graph, self.asked
        axes = graph.nodes[graph.output].axes
        assert axes is not None
        first, wide = self._place(one)
        cut = Cut(first, 1, wide).within(axes.length)
        made = torch.full((len(self.near.channels), wide), torch.nan)
        if not cut.count:
            return made
        names = (graph.edited, *graph.others)
        given = {
            name: each.to(asked.device, asked.dtype if each.is_floating_point() else each.dtype)
            for name, each in zip(names, inputs, strict=True)
        }
        with torch.no_grad():
            partial = Partial(graph, [(graph.output, cut)])
            output = held.original(given, lambda _n, _v: None, partial)
        rows = axes.with_length(cut.count).rows(output)
        at = cut.first - first
        made[:, at : at + cut.count] = self.near.of_values(rows)[0].cpu()
        return made

    def _beside(self, made: Tensor, one: Variants) -> Tensor:
        """[T, V] of an alternative -> [T, W] of the original's positions, along the first strand."""
        made = made.flip(1) if self.mirrored else made
        laid = aligned(made.numpy(), self.around, len(one.ref[0]), len(one.alt[0]))
        return torch.from_numpy(np.ascontiguousarray(laid[:, : 2 * self.around + 1]))
