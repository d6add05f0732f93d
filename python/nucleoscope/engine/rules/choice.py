"""Which of two values stands: maximum and minimum of two, masks that no edit reaches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nucleoscope.engine.graph import Axes, NotLocal, Rule, Static
from nucleoscope.engine.rules.arithmetic import constant, operands, per_position
from nucleoscope.engine.rules.registry import Lowering, aten, rule, sample_shape
from nucleoscope.engine.step import Step
from nucleoscope.engine.transfer import sent


@dataclass(frozen=True)
class Larger(Rule):
    """max(d_a - (m - a), d_b - (m - b)), m the original maximum; the minimum with all signs turned."""

    sign: float
    fixed: Callable[[Static], Tensor] | None = None  # b, where it is a constant: rows
    varies: bool = False  # whether that differs along the length

    @property
    def thins(self) -> bool:
        return not self.varies

    def pack(self, static: Static) -> Tensor | None:
        return None if self.fixed is None else self.fixed(static)

    def delta(self, step: Step) -> Tensor:
        a = step.original(self.reads[0]) * self.sign
        b = self._other(step, step.original(self.reads[-1])) * self.sign
        m = torch.maximum(a, b)
        moved = []
        for index, value in enumerate((a, b)):
            given = step.seen(index) if index < len(self.inputs) else None
            moved.append(value - m if given is None else given * self.sign - (m - value))
        return torch.maximum(*moved) * self.sign

    def _other(self, step: Step, edited: Tensor) -> Tensor:
        if self.fixed is None:
            return edited
        return at_positions(step, step.packed) if self.varies else step.packed[0]


def at_positions(step: Step, rows: Tensor) -> Tensor:
    """A constant's rows [length, C] at the output's positions: [W, S, 1, C]."""
    position = np.clip(step.rows.positions, 0, len(rows) - 1)
    return rows[sent(position, rows.device)][:, :, None]


@rule(aten.maximum.default, aten.minimum.default, aten.max.other, aten.min.other)
def lower_larger(low: Lowering, node: torch.fx.Node) -> Larger:
    a, b, axes = operands(low, node)
    sign = 1.0 if node.target in (aten.maximum.default, aten.max.other) else -1.0
    if not low.is_ripple(a):
        a, b = b, a
    if low.is_ripple(b):
        return Larger((low.ripple(a), low.ripple(b)), axes, (a.name, b.name), sign)
    if not low.is_static(b):
        raise NotLocal("the larger of an edited value and a further input")
    rows = constant(b, axes)
    return Larger((low.ripple(a),), axes, (a.name,), sign, rows, per_position(b, axes))


@dataclass(frozen=True)
class Masked(Rule):
    """Each delta where its value is the one that stands, by a mask that no edit reaches."""

    mask: str  # "" where it follows the batch: an original that is read
    keeps: tuple[bool, ...]  # per input: whether it stands where the mask is true

    @property
    def thins(self) -> bool:
        return not self.mask

    def pack(self, static: Static) -> Tensor | None:
        if not self.mask:
            return None
        rows = self.axes.rows(static(self.mask).expand(1, *self.axes.shape))[0]
        return rows.to(static("").dtype)

    def delta(self, step: Step) -> Tensor:
        mask = at_positions(step, step.packed) if self.mask else step.original(self.reads[0])
        out = step.zeros(self.axes.channels)
        for index, keeps in enumerate(self.keeps):
            given = step.seen(index)
            if given is not None:
                out = torch.where((mask > 0.5) == keeps, given, out)
        return out


@rule(aten.masked_fill.Scalar, aten.masked_fill.Tensor)
def lower_masked_fill(low: Lowering, node: torch.fx.Node) -> Masked:
    source, mask, filled = node.args[:3]
    return _masked(low, node, mask, ((source, False), (filled, True)))


@rule(aten.where.self, aten.where.ScalarOther, aten.where.ScalarSelf)
def lower_where(low: Lowering, node: torch.fx.Node) -> Masked:
    mask, there, elsewhere = node.args[:3]
    return _masked(low, node, mask, ((there, True), (elsewhere, False)))


def _masked(
    low: Lowering, node: torch.fx.Node, mask: Any, values: tuple[tuple[Any, bool], ...]
) -> Masked:
    if low.is_ripple(mask):
        raise NotLocal("an edit changes which of its values stands")
    shape = sample_shape(node)
    edited = [(arg, keeps) for arg, keeps in values if low.is_ripple(arg)]
    axes = low.axes(edited[0][0])
    for arg, _ in edited:
        if low.axes(arg) != Axes(shape, axes.left, axes.length, axes.right):
            raise NotLocal("an edited value is broadcast over another's axes")
    inputs = tuple(low.ripple(arg) for arg, _ in edited)
    fixed = low.is_static(mask)
    reads = () if fixed else (mask.name,)
    return Masked(inputs, axes, reads, mask.name if fixed else "", tuple(k for _, k in edited))
