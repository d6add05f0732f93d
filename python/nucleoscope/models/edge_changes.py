"""Changes of single units, many at a time, carried along the edges that leave them and along no others."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from nucleoscope import ops
from nucleoscope.models.edge_linear import EdgeLinear


class Changes(NamedTuple):
    """What edit `edit[p]` changes at unit `unit[p]`, [P, N]; an edit and a unit come together once."""

    edit: Tensor  # [P] int64
    unit: Tensor  # [P] int64
    delta: Tensor  # [P, N]: edited minus original

    def within(self, first: int, last: int) -> Changes:
        """Those at units [first, last), counted from there."""
        at = ((self.unit >= first) & (self.unit < last)).nonzero()[:, 0]
        return Changes(self.edit[at], self.unit[at] - first, self.delta[at])

    def moved(self, by: int) -> Changes:
        return self._replace(unit=self.unit + by)

    def times(self, scale: Tensor) -> Changes:  # [units]
        return self._replace(delta=self.delta * scale[self.unit][:, None])

    def through(self, function: str, z: Tensor) -> Changes:  # z [units, N], the originals
        """Behind an elementwise function: the engine's op, of a layer whose positions are units."""
        count, n = self.delta.shape
        rows = ops.Rows(self.unit[None], (1,))
        original = ops.Original(
            z[None].contiguous(), torch.zeros(count, dtype=torch.int32, device=z.device)
        )
        given = self.delta.view(1, count, 1, n)
        made = ops.delta_pointwise(given, rows, original, len(z), function)
        return self._replace(delta=made.view(count, n))

    def dense(self, edits: int, units: int) -> Tensor:
        """[edits, N, units], with zeros where nothing changes."""
        made = self.delta.new_zeros(edits, units, self.delta.shape[1])
        return made.index_put((self.edit, self.unit), self.delta).transpose(1, 2)


class Outgoing:
    """An `EdgeLinear` by the inputs that its edges leave."""

    def __init__(self, layer: EdgeLinear) -> None:
        self.weight = layer.weight.detach()
        self.order = layer.sources.argsort(stable=True)
        self.count = torch.bincount(layer.sources, minlength=layer.inputs)
        self.first = self.count.cumsum(0) - self.count
        self.sinks, self.inputs, self.outputs = layer.sinks, layer.inputs, layer.outputs

    def carry(self, given: Changes) -> tuple[Changes, int]:
        """The changes of the layer's outputs, and how many edges were multiplied for each example.

        Equivalent to, for every edit::

            layer.dense() @ delta, of which rows that no change reaches are left out
        """
        count = self.count[given.unit]
        pair = torch.arange(len(count), device=count.device).repeat_interleave(count)
        begun = (count.cumsum(0) - count)[pair]
        edge = self.order[self.first[given.unit][pair] + torch.arange(len(pair)).to(begun) - begun]
        key, order = (given.edit[pair] * self.outputs + self.sinks[edge]).sort(stable=True)
        met, sizes = key.unique_consecutive(return_counts=True)
        delta = F.embedding_bag(
            pair[order], given.delta, sizes.cumsum(0) - sizes, mode="sum",
            per_sample_weights=self.weight[edge[order]],
        )  # fmt: skip
        return Changes(met // self.outputs, met % self.outputs, delta), len(edge)


def together(parts: list[Changes], units: int) -> Changes:
    """Several changes of the same `units`, added up."""
    if len(parts) == 1:
        return parts[0]
    edit, unit, delta = (torch.cat(each) for each in zip(*parts, strict=True))
    key, inverse = (edit * units + unit).unique(return_inverse=True)
    summed = delta.new_zeros(len(key), delta.shape[1]).index_add(0, inverse, delta)
    return Changes(key // units, key % units, summed)
