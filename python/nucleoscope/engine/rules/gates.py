"""A mean or a maximum over the length is taken ahead of what is spread over the length, not behind it.

The mean of x * g is g times the mean of x where g is one number a channel, whatever it was made of: a
squeeze-excitation's gate is made of the whole length. So it goes ahead of all that is linear position by
position; a maximum goes ahead of a ReLU as well, and of a gate that is not negative. What is left has no length,
and a delta passes it; a number spread over its positions would end locality. The same product behind anything else
is a seam. So is the mean of a ReLU of such a product: g times the mean of relu(x) is the same number, but DeepLIFT
would take the chord of another ReLU than the model's.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import torch

from nucleoscope.engine.rules.bounds import span
from nucleoscope.engine.rules.registry import argument, aten

# Ops that make of a mean what they make of what it is the mean of, if they look at positions one by one.
LINEAR = (
    aten.neg.default, aten.mul.Scalar, aten.div.Scalar, aten.add.Scalar, aten.sub.Scalar,
    aten.clone.default, aten.alias.default, aten.dropout.default, aten.contiguous.default,
    aten._native_batch_norm_legit_no_training.default,
)  # fmt: skip
SUMS = (aten.add.Tensor, aten.sub.Tensor)


def reduced_ahead(graph: torch.fx.Graph) -> None:
    """Rewrite the means, sums and maxima of a traced program that read a gate's product."""
    for node in list(graph.nodes):
        read = _asked(node)
        if read is None:
            continue
        source, dim, keep, maximum = read
        with graph.inserting_before(node):
            ahead = _Ahead(graph, node, maximum)
            try:
                made = ahead(source, dim)
            except _NoMean:
                continue
            if not ahead.met:
                continue
            if node.target is aten.sum.dim_IntList:
                made = ahead.call(aten.mul.Tensor, made, source.meta["val"].shape[dim])
            made = made if keep else ahead.call(aten.squeeze.dim, made, dim)
        node.replace_all_uses_with(made)
    graph.eliminate_dead_code()


def _asked(node: torch.fx.Node) -> tuple[torch.fx.Node, int, bool, bool] | None:
    """What is reduced, over which one dimension, whether that stays as 1, and whether by a maximum."""
    maximum = node.target in (aten.amax.default, operator.getitem)
    pool = node
    if node.target is operator.getitem and node.args[1] == 0:
        pool = node.args[0]  # type: ignore[assignment]
    if pool.target is (aten.adaptive_max_pool1d if maximum else aten.adaptive_avg_pool1d).default:
        pooled: Any = pool.args[0]
        return (pooled, pooled.meta["val"].ndim - 1, True, maximum) if pool.args[1] == [1] else None
    if node.target not in (aten.mean.dim, aten.sum.dim_IntList, aten.amax.default):
        return None
    source: Any = node.args[0]
    dims: Any = argument(node, 1, "dim", None) or ()
    dims = [dims] if isinstance(dims, int) else dims
    dim = dims[0] % source.meta["val"].ndim if len(dims) == 1 else 0
    length = source.meta["val"].shape[dim]
    known = dim > 0 and isinstance(length, int) and node.kwargs.get("dtype") is None
    return (source, dim, bool(argument(node, 2, "keepdim", False)), maximum) if known else None


class _NoMean(Exception):
    """A count or a mask is among what a reduction reads: it has no mean of its own type."""


class _Ahead:
    """One reduction, and the nodes that take its place; `met` tells whether a gate was among what it reads."""

    def __init__(self, graph: torch.fx.Graph, like: torch.fx.Node, maximum: bool) -> None:
        self._graph, self._like, self._maximum = graph, like, maximum
        self._made: dict[tuple[torch.fx.Node, int], torch.fx.Node] = {}
        self.met = False

    def call(self, op: Any, *args: Any) -> torch.fx.Node:
        """A call with the value that tracing would have noted, and the reduction's source line."""
        node = self._graph.call_function(op, args)
        with self._like.meta["val"].fake_mode:
            value = op(*torch.fx.node.map_arg(args, lambda each: each.meta["val"]))
        node.meta = {**self._like.meta, "val": value}
        return node

    def __call__(self, node: torch.fx.Node, dim: int) -> torch.fx.Node:
        """The mean or maximum of a value over this dimension, which stays as 1."""
        value = node.meta["val"]
        if isinstance(value, torch.Tensor) and not value.is_floating_point():
            raise _NoMean
        if (node, dim) not in self._made:
            made = self._largest(node, dim) if self._maximum else self._mean(node, dim)
            self._made[node, dim] = made or self._itself(node, dim)
        return self._made[node, dim]

    def _itself(self, node: torch.fx.Node, dim: int) -> torch.fx.Node:
        op = aten.amax.default if self._maximum else aten.mean.dim
        return self.call(op, node, [dim], True)

    def _mean(self, node: torch.fx.Node, dim: int) -> torch.fx.Node | None:
        op, args, rest = node.target, node.args, node.kwargs
        if op in SUMS and not rest:
            return self.call(op, *(self._term(each, node, dim) for each in args))
        if op in (aten.mul.Tensor, aten.div.Tensor) and not rest:
            return self._scaled(node, dim)
        if op is operator.getitem and args[1] == 0:
            inner = self._as_it_is(args[0], dim)
            return inner and self.call(op, inner, 0)
        return self._as_it_is(node, dim)

    def _largest(self, node: torch.fx.Node, dim: int) -> torch.fx.Node | None:
        source: Any = node.args[0] if node.args else None
        if node.target is aten.relu.default:
            return self.call(aten.relu.default, self(source, dim))
        return self._scaled(node, dim, rising=True) if node.target is aten.mul.Tensor else None

    def _as_it_is(self, node: Any, dim: int) -> torch.fx.Node | None:
        """The op itself, of a mean."""
        source = node.args[0] if node.args else None
        if node.kwargs or not isinstance(source, torch.fx.Node):
            return None
        if node.target is aten.transpose.int:
            a, b = (d % source.meta["val"].ndim for d in node.args[1:])
            inside = {a: b, b: a}.get(dim, dim)
            return self.call(node.target, self(source, inside), a, b)
        last = dim == source.meta["val"].ndim - 1
        by_position = node.target is aten.linear.default and not last
        if node.target is aten.conv1d.default and last and _single_tap(node):
            return self._between_channels(node, dim)
        normed = node.target is aten._native_batch_norm_legit_no_training.default
        if by_position or (node.target in LINEAR and not (normed and dim == 1)):
            return self.call(node.target, self(source, dim), *node.args[1:])
        return None

    def _between_channels(self, node: torch.fx.Node, dim: int) -> torch.fx.Node:
        """A convolution of one tap, as the linear layer that it is where no length is left."""
        source: Any = node.args[0]
        weight = self.call(aten.squeeze.dim, node.args[1], 2)
        given = self.call(aten.transpose.int, self(source, dim), 1, 2)
        made = self.call(aten.linear.default, given, weight, *node.args[2:3])
        return self.call(aten.transpose.int, made, 1, 2)

    def _scaled(self, node: torch.fx.Node, dim: int, rising: bool = False) -> torch.fx.Node | None:
        """A product with, or a quotient by, what is the same all along."""
        pairs: list[Any] = [node.args[:2]]
        if node.target is aten.mul.Tensor:
            pairs.append(node.args[1::-1])
        for source, by in pairs:
            if not isinstance(source, torch.fx.Node) or not _alike(
                source.meta["val"], node.meta["val"].shape
            ):
                continue
            factor = self._steady(by, node, dim)
            if factor is not None and (not rising or span(by).low >= 0):
                return self.call(node.target, self(source, dim), factor)
        return None

    def _term(self, arg: Any, node: torch.fx.Node, dim: int) -> Any:
        """The mean of one of the terms of a sum."""
        steady = self._steady(arg, node, dim)
        if steady is not None:
            return steady
        return self(arg, arg.meta["val"].ndim + dim - node.meta["val"].ndim)

    def _steady(self, arg: Any, node: torch.fx.Node, dim: int) -> Any:
        """An operand that is the same along this dimension of a result, with 1 in its place; else None."""
        if not isinstance(arg, torch.fx.Node):
            return arg
        shape = arg.meta["val"].shape
        at = len(shape) + dim - node.meta["val"].ndim
        if at < 0 or (isinstance(shape[at], int) and shape[at] == 1):
            return arg
        if arg.target is not aten.expand.default:
            return None
        source: Any = arg.args[0]
        sizes: Any = arg.args[1]
        if source.meta["val"].ndim != len(shape) or source.meta["val"].shape[at] != 1:
            return None
        self.met = True
        left = [1 if d == at else size for d, size in enumerate(sizes)]
        kept = [1 if d == at else size for d, size in enumerate(shape)]
        return (
            source
            if _alike(source.meta["val"], kept)
            else self.call(aten.expand.default, source, left)
        )


def _single_tap(node: torch.fx.Node) -> bool:
    """Whether a convolution looks at one position for each that it makes."""
    weight: Any = node.args[1]
    return bool(
        weight.meta["val"].shape[2] == 1
        and argument(node, 3, "stride", [1]) == [1]
        and argument(node, 4, "padding", [0]) == [0]
        and argument(node, 6, "groups", 1) == 1
    )


def _alike(value: torch.Tensor, sizes: Sequence[Any]) -> bool:
    """Whether a value has these sizes; one that is open is never compared with a number, which would fix it."""
    return value.ndim == len(sizes) and all(
        isinstance(own, int) == isinstance(size, int) and own == size
        for own, size in zip(value.shape, sizes, strict=True)
    )
