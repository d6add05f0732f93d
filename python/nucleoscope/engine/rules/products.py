"""Matrix products and einsum of an edited value and a tensor that no input reaches."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nucleoscope.engine.graph import Axes, NotLocal, Rule, Static, vector
from nucleoscope.engine.rows import zero_outside
from nucleoscope.engine.rules.conv import Conv, Linear, linear
from nucleoscope.engine.rules.registry import Lowering, aten, rule, sample_shape
from nucleoscope.engine.rules.seams import SEAMS
from nucleoscope.engine.step import Step
from nucleoscope.engine.transfer import sent
from nucleoscope.engine.windows import SAME, Stencil


@rule(aten.matmul.default)
def lower_matmul(low: Lowering, node: torch.fx.Node) -> Conv | Linear:
    """x @ W is a linear layer; W @ x is one over the channels before the length."""
    a: Any
    b: Any
    a, b = node.args
    if not (low.is_static(a) or low.is_static(b)):
        raise NotLocal(SEAMS[aten.matmul.default])
    matrix = a if low.is_static(a) else b
    if matrix.meta["val"].ndim != 2:
        raise NotLocal("a matrix product with a stack of matrices, or with a vector")
    if matrix is b:
        return linear(low, node, a, b, turned=True)
    axes, shape = low.axes(b), sample_shape(node)
    if len(axes.shape) != 2 or axes.dim != 1:
        raise NotLocal("it mixes positions along the length")
    out = Axes(shape, shape[0], axes.length, 1)
    first = low.is_edited(low.ripple(b))
    return Conv((low.ripple(b),), out, (), axes.channels, SAME, a.name, first=first)


@dataclass(frozen=True)
class Einsum(Rule):
    """Linear in the delta: the same einsum on the channels of each position, the length left out.

    Where the constant has the length as an axis, each position meets its own part of it.
    """

    constant: str
    length_in: int
    sizes: tuple[int, ...]  # the channels as axes
    equation: str
    at: int | None  # which axis of the constant is the length
    along: bool  # whether the length is summed

    def reach(self, index: int) -> Stencil:
        return Stencil(taps=self.length_in) if self.along else SAME

    def pack(self, static: Static) -> Tensor:
        constant = static(self.constant)
        return constant if self.at is None else constant.movedim(self.at, 0).contiguous()

    def delta(self, step: Step) -> Tensor:
        rows = step.given(0).rows if self.along else step.rows
        given = step.given(0).on(rows)
        constant = step.packed
        if self.at is not None:
            position = np.clip(rows.positions, 0, self.length_in - 1)
            constant = constant[sent(position, constant.device)]
        made = torch.einsum(self.equation, given.reshape(*given.shape[:3], *self.sizes), constant)
        flat = made.reshape(step.rows.width, *given.shape[1:3], self.axes.channels)
        return zero_outside(flat, step.rows)

    def work(self, rows_in: int, rows_out: int) -> int:
        return (rows_in if self.along else rows_out) * prod(self.sizes) * self.axes.channels


@rule(aten.einsum.default)
def lower_einsum(low: Lowering, node: torch.fx.Node) -> Einsum:
    equation, operands = str(node.args[0]), list(node.args[1])  # type: ignore[arg-type]
    left, _, out = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    statics = [low.is_static(operand) for operand in operands]
    if len(terms) != 2 or statics not in ([True, False], [False, True]):
        raise NotLocal(SEAMS[aten.einsum.default])
    ours, theirs = (1, 0) if statics[0] else (0, 1)
    (one, source), (two, constant) = ((terms[i], operands[i]) for i in (ours, theirs))
    axes = low.axes(source)
    plain = all(term.isalpha() and len(set(term)) == len(term) for term in (one, two, out))
    if not plain or one[0] not in out or out[0] != one[0] or one[0] in two:
        raise NotLocal("an einsum that does not keep the batch first, or repeats an axis")
    if axes.length > 1 and axes.dim is None:
        raise NotLocal("the length axis is merged with another axis here")
    length = one[1 + axes.dim] if axes.dim is not None else ""
    shape = sample_shape(node)
    where = out[1:].find(length) if length else -1
    made = vector(shape) if where < 0 else _around(shape, where)
    along = bool(length) and length not in out
    held = (
        constant.meta["val"].shape[two.index(length)] if length and length in two else axes.length
    )
    if held != axes.length:
        raise NotLocal(
            "a constant that is the same for every position: einsum without that axis is local"
        )
    if along and length not in two:
        raise NotLocal("an einsum that sums the length")
    names = dict(zip(dict.fromkeys(one + two), "abcdefghijklmnopqrst", strict=False))
    short = {
        key: "".join(names[axis] for axis in term if axis not in (one[0], length))
        for key, term in (("one", one), ("two", two), ("out", out))
    }
    own = "uv" if length and length in two else ""
    kept = "vw" if along else "uvw"
    eq = f"uvw{short['one']},{own}{short['two']}->{kept}{short['out']}"
    sizes = tuple(s for s, axis in zip(axes.shape, one[1:], strict=True) if axis != length)
    at = two.index(length) if own else None
    return Einsum((low.ripple(source),), made, (), constant.name, axes.length, sizes, eq, at, along)


def _around(shape: tuple[int, ...], dim: int) -> Axes:
    return Axes(shape, prod(shape[:dim]), shape[dim], prod(shape[dim + 1 :]))
