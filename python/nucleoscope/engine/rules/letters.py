"""Letters as token numbers: argmax of a one-hot input, then an embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nucleoscope.engine.graph import Axes, NotLocal, Rule, Static
from nucleoscope.engine.rows import zero_outside
from nucleoscope.engine.rules.registry import Lowering, argument, aten, rule, sample_shape
from nucleoscope.engine.rules.seams import SEAMS
from nucleoscope.engine.step import Step


@dataclass(frozen=True)
class Tokens(Rule):
    """The largest channel of the input's columns, which embeddings take in: no delta is asked of it."""


@dataclass(frozen=True)
class Embedding(Rule):
    """Row of the new letter less row of the old one."""

    table: str

    @property
    def thins(self) -> bool:
        return False  # it looks at the edits themselves, whose sites are positions of the sequence

    def pack(self, static: Static) -> Tensor:
        return static(self.table)

    def delta(self, step: Step) -> Tensor:
        edits, table = step.edits, step.packed
        size = edits.ambiguous.shape[1]
        mixed = edits.ambiguous.argmax(1)  # of equal parts the first, as PyTorch takes it
        token = torch.cat([torch.arange(size), mixed.cpu(), torch.zeros(1, dtype=torch.long)])
        new, old = (
            token[torch.from_numpy(each)].to(table.device) for each in (edits.new, edits.old)
        )
        change = (table[new] - table[old][:, None])[None]  # [1, S, E, C]
        hit = step.rows.find(step.given(0).rows.positions)  # [1, S]
        out = step.zeros(self.axes.channels)
        site = torch.arange(step.rows.sites)
        row = torch.from_numpy(hit[0])
        kept = row >= 0
        out[row[kept], site[kept]] = change[0][kept]
        return zero_outside(out, step.rows)


@rule(aten.argmax.default)
def lower_tokens(low: Lowering, node: torch.fx.Node) -> Tokens:
    source: Any = node.args[0]
    axes = low.axes(source)
    dim = argument(node, 1, "dim", None)
    channel = [d for d, size in enumerate(axes.shape) if size == axes.channels and d != axes.dim]
    plain = low.is_edited(low.ripple(source)) and len(axes.shape) == 2 and axes.length > 1
    if (
        not plain
        or dim is None
        or dim % 3 - 1 not in channel
        or argument(node, 2, "keepdim", False)
    ):
        raise NotLocal("an argmax of something other than the letters of the sequence")
    if any(user.target is not aten.embedding.default for user in node.users):
        raise NotLocal(SEAMS[aten.one_hot.default])
    return Tokens((low.ripple(source),), Axes((axes.length,), 1, axes.length, 1), ())


@rule(aten.embedding.default)
def lower_embedding(low: Lowering, node: torch.fx.Node) -> Embedding:
    table: Any
    tokens: Any
    table, tokens = node.args[:2]
    made = low.nodes[tokens.name].rule
    if not isinstance(made, Tokens) or not low.is_static(table):
        raise NotLocal("an embedding of token numbers that are not the letters of the sequence")
    shape = sample_shape(node)
    return Embedding(made.inputs, Axes(shape, 1, shape[0], shape[1]), (), table.name)
