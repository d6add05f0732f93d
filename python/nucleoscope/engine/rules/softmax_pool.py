"""Attention pooling: the length split into cells, each averaged with weights from a softmax over it.

Traced it is three ops: a softmax over the axis within the cells, a product, a sum over the same axis.
Only the sum has a delta; the softmax is let through where nothing but such a product and sum reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from nucleoscope.engine.chain import Place
from nucleoscope.engine.graph import Axes, NotLocal, Rule, vector
from nucleoscope.engine.rules.registry import Lowering, argument, aten, sample_shape
from nucleoscope.engine.windows import Stencil
from nucleoscope.ops import Link


@dataclass(frozen=True)
class SoftmaxPool(Rule):
    """sum_t (p_t + dp_t) dx_t + dp_t (x_t - y), the weights' changes dp by expm1 of the logits'.

    Its op knows no pad, so it goes over every cell: it has no `thin`.
    """

    length_in: int
    stencil: Stencil

    def reach(self, index: int) -> Stencil:
        return self.stencil

    def looks(self, index: int) -> int | None:
        return index

    @property
    def chained(self) -> bool:
        return True

    def link(self, place: Place) -> Link:
        x, logits = map(place.kept, self.reads)
        return place.link(
            "delta_softmax_pool", given=place.value(0), beside=place.value(1), original=x,
            second=logits, taps=self.stencil.taps, stride=self.stencil.stride,
            length_in=self.length_in,
        )  # fmt: skip

    def work(self, rows_in: int, rows_out: int) -> int:
        return rows_out * self.stencil.taps * self.axes.channels


@dataclass(frozen=True)
class CellWeights(Rule):
    """The softmax over each cell, which a SoftmaxPool takes in: no delta is asked of it."""

    logits: torch.fx.Node


def cell_weights(low: Lowering, node: torch.fx.Node, dim: int) -> CellWeights:
    """The softmax over this dimension of a split length, if it is the weights of a pool."""
    logits: Any = node.args[0]
    axes = low.axes(logits)
    if axes.cell(dim) is None:
        raise NotLocal("a softmax over the length")
    product = _only_user(node, aten.mul.Tensor)
    total = None if product is None else _only_user(product, aten.sum.dim_IntList)
    if product is None or total is None or not _is_over(total, dim, axes):
        raise NotLocal(
            "a softmax over cells of the length that is not only the weights of their sum"
        )
    other = _values(product, node)
    there = isinstance(other, torch.fx.Node) and other.name in low.nodes
    if not (there and low.is_ripple(other) and low.axes(other) == axes):
        raise NotLocal(
            "a softmax over cells of the length that weighs something else than edited cells made "
            "before it"
        )
    return CellWeights((), axes, (), logits)


def softmax_pool(low: Lowering, node: torch.fx.Node) -> SoftmaxPool | None:
    """The pool that ends in this sum; None where it ends in none."""
    product: Any = node.args[0]
    given = product.args if product.target is aten.mul.Tensor else ()
    for weights in given:
        rule = low.nodes[weights.name].rule if low.is_ripple(weights) else None
        if isinstance(rule, CellWeights):
            x, axes = _values(product, weights), rule.axes
            (dim,) = (d % (len(axes.shape) + 1) - 1 for d in argument(node, 1, "dim", ()))
            taps = axes.shape[dim]
            inputs, reads = (low.ripple(x), low.ripple(rule.logits)), (x.name, rule.logits.name)
            shape, cells = sample_shape(node), axes.length // taps
            out = vector(shape) if cells == 1 else Axes(shape, axes.left, cells, axes.right)
            return SoftmaxPool(inputs, out, reads, axes.length, Stencil(taps, taps))
    return None


def _only_user(node: torch.fx.Node, target: Any) -> torch.fx.Node | None:
    users = list(node.users)
    return users[0] if len(users) == 1 and users[0].target is target else None


def _is_over(total: torch.fx.Node, dim: int, axes: Axes) -> bool:
    """Whether a sum is over this dimension of the sample and no other."""
    dims = argument(total, 1, "dim", None) or ()
    return [d % (len(axes.shape) + 1) - 1 for d in dims] == [dim]


def _values(product: torch.fx.Node, weights: torch.fx.Node) -> Any:
    """What the weights are multiplied with."""
    a, b = product.args
    return b if a is weights else a
