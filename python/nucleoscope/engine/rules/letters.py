"""Letters as token numbers: argmax of a one-hot input, then an embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nucleoscope.engine.graph import Axes, NotLocal, Rule, Static
from nucleoscope.engine.rows import zero_outside
from nucleoscope.engine.rules.registry import Lowering, argument, aten, rule, sample_shape
from nucleoscope.engine.rules.seams import SEAMS
from nucleoscope.engine.step import Step

SAME_NUMBERS = (
    aten.transpose.int, aten.permute.default, aten.view.default, aten.reshape.default, aten._to_copy.default,
    aten.to.dtype, aten.clone.default, aten.contiguous.default,
)  # fmt: skip


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
        old, new = (token[torch.from_numpy(each)].to(table.device) for each in edits.put)
        change = table[new] - table[old][:, :, None]  # [W, S, E, C]
        covered = np.concatenate([
            np.arange(hi[0] - lo[0])[:, None] + lo for lo, hi in edits.pieces
        ])  # fmt: skip
        row = torch.from_numpy(step.rows.find(covered))  # [W, S]
        out = step.zeros(self.axes.channels)
        at, site = (row >= 0).nonzero(as_tuple=True)
        out[row[at, site], site] = change[at, site]
        return zero_outside(out, step.rows)


@rule(aten.argmax.default)
def lower_tokens(low: Lowering, node: torch.fx.Node) -> Tokens:
    source: Any = node.args[0]
    axes = low.axes(source)
    dim = argument(node, 1, "dim", None)
    channel = [d for d, size in enumerate(axes.shape) if size == axes.channels and d != axes.dim]
    plain = _itself(low, source) and len(axes.shape) == 2 and axes.length > 1
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


def _itself(low: Lowering, source: Any) -> bool:
    """Whether this is the sequence and nothing else: x + 1 has its delta, and other largest letters."""
    while source.op == "call_function" and source.target in SAME_NUMBERS:
        source = source.args[0]
    return source.op == "placeholder" and low.is_edited(low.ripple(source))


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
