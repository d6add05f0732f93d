"""Layers in a row that compiled ops take: one call for a batch, nothing stored in between."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nucleoscope import ops
from nucleoscope.engine.graph import Rule
from nucleoscope.engine.rows import Delta, Rows
from nucleoscope.engine.step import AnyEdits, Originals, Placed
from nucleoscope.engine.transfer import moved


class Chain:
    """The links for one batch, in the making."""

    def __init__(
        self, given: Mapping[str, Delta], edits: AnyEdits, originals: Originals, placed: Placed, tf32: bool
    ) -> None:  # fmt: skip
        self.edits, self.originals, self.placed, self.tf32 = edits, originals, placed, tf32
        self.links: list[ops.Link] = []
        self.number = {name: index for index, name in enumerate(given)}
        self.rows = {name: delta.rows for name, delta in given.items()}
        self._given = [(delta.values, placed.rows[name]) for name, delta in given.items()]

    def add(self, name: str, rule: Rule, rows: Rows, packed: Any) -> None:
        """Put a layer behind those that are there."""
        link = rule.link(Place(self, name, rule, rows, packed))
        self.rows[name] = rows
        self.number[name] = self.append(link)

    def append(self, link: ops.Link) -> int:
        """Put a link at the end; the number of its value."""
        self.links.append(link)
        return len(self._given) + len(self.links) - 1

    def run(self, names: Iterable[str]) -> dict[str, Delta]:
        """The deltas of the layers that are asked for."""
        asked = list(names)
        numbers = [self.number[name] for name in asked]
        made = ops.delta_chain(self.links, self.placed.letters, self._given, numbers)
        return {n: Delta(self.rows[n], values) for n, values in zip(asked, made, strict=True)}


@dataclass(frozen=True)
class Place:
    """Where in a chain a layer stands."""

    chain: Chain
    name: str
    rule: Rule
    rows: Rows  # of its output
    packed: Any

    def value(self, index: int) -> int:
        """The number of the index-th input; -1 where no edit of this batch reaches it."""
        return self.chain.number.get(self.rule.inputs[index], -1)

    def aligned(self, index: int) -> int:
        """The number of the index-th input on the output's rows."""
        number = self.value(index)
        if self.chain.rows[self.rule.inputs[index]].same(self.rows):
            return number
        return self.chain.append(self.link("delta_sum", given=number))

    def link(self, op: str, **rest: Any) -> ops.Link:
        """A link that makes the output."""
        rows = self.chain.placed.rows[self.name]
        return ops.Link(op, rows, self.rule.axes.channels, self.rows.length, **rest)

    def kept(self, name: str) -> ops.Kept:
        """The original activation of `name`."""
        return ops.Kept(*self.chain.originals.kept[name])

    def table(self) -> Tensor:
        """The packed table of a first layer, with a row for each ambiguous letter."""
        table: Tensor = self.packed
        more = self.chain.edits.ambiguous
        if len(more) == 0:
            return table
        return torch.cat([table, moved(more.to(table.dtype), table.device) @ table], dim=1)
