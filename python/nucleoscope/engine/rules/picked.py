"""Channels by a table of the model's: index_select, and an index that names some of them."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from nucleoscope.engine.graph import Axes, NotLocal, Rule, Static, vector
from nucleoscope.engine.rules.registry import Lowering, aten, rule, sample_shape
from nucleoscope.engine.step import Step


@dataclass(frozen=True)
class Picked(Rule):
    """The delta's channels in the table's order, some of them, or some more than once."""

    table: str
    sizes: tuple[int, ...]  # one sample's shape with a length of 1
    dim: int  # of the sample: which of its axes the table picks from

    def pack(self, static: Static) -> Tensor:
        table = static(self.table)
        channels = torch.arange(prod(self.sizes), device=table.device).view(self.sizes)
        wanted = table.long() % self.sizes[self.dim]  # an index may count from the end
        return channels.index_select(self.dim, wanted).reshape(-1)

    def delta(self, step: Step) -> Tensor:
        given = step.seen(0)
        assert given is not None
        return given.index_select(3, step.packed)


@rule(aten.index_select.default)
def lower_index_select(low: Lowering, node: torch.fx.Node) -> Picked:
    dim: Any = node.args[1]
    return _picked(low, node, node.args[2], dim % node.meta["val"].ndim - 1)


@rule(aten.index.Tensor)
def lower_index(low: Lowering, node: torch.fx.Node) -> Picked:
    tables: Any = node.args[1]
    named = [at for at, table in enumerate(tables) if table is not None]
    if len(named) != 1:
        raise NotLocal("it picks along several axes at once")
    return _picked(low, node, tables[named[0]], named[0] - 1)


def _picked(low: Lowering, node: torch.fx.Node, table: Any, dim: int) -> Picked:
    source: Any = node.args[0]
    axes, shape = low.axes(source), sample_shape(node)
    if not low.is_static(table) or table.meta["val"].ndim != 1:
        raise NotLocal("its table depends on the input, or has several axes")
    if table.meta["val"].dtype not in (torch.int64, torch.int32):
        raise NotLocal("its table is not one of whole numbers")
    if dim < 0 or (axes.length > 1 and axes.dim in (None, dim)):
        raise NotLocal("it picks positions, or sequences, by a table")
    sizes = tuple(1 if d == axes.dim else size for d, size in enumerate(axes.shape))
    out = vector(shape)
    if axes.dim is not None:
        out = Axes(shape, prod(shape[: axes.dim]), axes.length, prod(shape[axes.dim + 1 :]))
    return Picked((low.ripple(source),), out, (), table.name, sizes, dim)
