"""What each axis of a traced tensor runs along: tokens, channels, or nothing that the input decides."""

from __future__ import annotations

import functools
import operator
from collections.abc import Collection
from typing import NamedTuple

import torch
from torch import Tensor
from torch.fx import Graph, Node

from nucleoscope.engine.attention.capture.products import einsum_labels, product

aten = torch.ops.aten

TOKENS, CHANNELS = 1, 2  # bits: an axis that others were folded into has both

TURNED = {
    aten.permute.default, aten.transpose.int, aten.mT.default, aten.movedim.int, aten.swapaxes.default,
    aten.numpy_T.default, aten.t.default,
}  # fmt: skip
FOLDED = {
    aten.view.default, aten.reshape.default, aten._unsafe_view.default, aten.flatten.using_ints,
    aten.unflatten.int, aten.unsqueeze.default, aten.squeeze.default, aten.squeeze.dim, aten.squeeze.dims,
}  # fmt: skip
CONVOLUTIONS = {
    aten.conv1d.default, aten.conv1d.padding, aten.conv2d.default, aten.conv2d.padding,
    aten.convolution.default, aten.conv_transpose1d.default, aten.conv_transpose2d.input,
}  # fmt: skip
FRESH = {  # of the shape of what they read alone
    aten.zeros_like.default, aten.ones_like.default, aten.full_like.default, aten.empty_like.default,
    aten.new_zeros.default, aten.new_ones.default, aten.new_full.default, aten.new_empty.default,
}  # fmt: skip


class Along(NamedTuple):
    """Of one tensor."""

    axes: tuple[int, ...]  # bits an axis
    moves: bool  # with the input

    @property
    def tokens(self) -> bool:
        """Whether any axis runs along tokens."""
        return any(bits & TOKENS for bits in self.axes)


def along(graph: Graph, inputs: Collection[str]) -> dict[Node, Along]:
    """Of every node; `inputs` are the names of what the model is given."""
    found: dict[Node, Along] = {}
    for node in graph.nodes:
        if node.op == "placeholder":
            given = node.name in inputs
            bits = _given(node) if given else (0,) * len(shape_of(node))
            found[node] = Along(bits, given)
            continue
        moving = any(found[each].moves for each in node.all_input_nodes)
        if node.op != "call_function" or not moving or node.target in FRESH:
            found[node] = Along((0,) * len(shape_of(node)), False)
        else:
            made = _made(node, found)
            found[node] = Along(
                made if len(made) == len(shape_of(node)) else _beside(node, found), True
            )
    return found


def turned(node: Node, rank: int) -> list[int]:
    """Which axes of what it reads a permutation's are, in its order."""
    sizes = tuple(range(2, 2 + rank))  # all different: so the order is read off
    made = node.target(torch.empty(sizes, device="meta"), *node.args[1:])  # type: ignore[operator]
    return [size - 2 for size in made.shape]


def shape_of(node: Node) -> tuple[int, ...]:
    """The shape of a node's tensor, or of the first of several."""
    held = node.meta.get("val")
    if isinstance(held, tuple | list):
        held = next((each for each in held if isinstance(each, Tensor)), None)
    return tuple(held.shape) if isinstance(held, Tensor) else ()


def labels_of(node: Node) -> list[tuple[Node, str]]:
    """The operands of a product of any number of tensors, then itself, each with its labels; [] of others."""
    if node.target is aten.einsum.default:
        return einsum_labels(node)
    if (made := product(node)) is None:
        return []
    first, second, out = made.labels
    return [(made.first, first), (made.second, second), (node, out)]


def _given(node: Node) -> tuple[int, ...]:
    """Of an input: numbers of tokens [N, T], or letters [N, 4, L] in either order, where L is the longer axis."""
    size = shape_of(node)
    if len(size) < 3:
        return (0, TOKENS)[: len(size)]
    longest = max(range(1, len(size)), key=lambda at: size[at])
    return (0, *(TOKENS if at == longest else CHANNELS for at in range(1, len(size))))


def _made(node: Node, found: dict[Node, Along]) -> tuple[int, ...]:
    read = [found[n].axes for n in node.all_input_nodes]
    first = read[0]
    if node.target in TURNED:
        return tuple(first[at] for at in turned(node, len(first)))
    if node.target in FOLDED:
        return _folded(shape_of(node.all_input_nodes[0]), shape_of(node), first)
    if node.target is aten.linear.default:
        return (*first[:-1], CHANNELS)
    if node.target in CONVOLUTIONS:
        beside = _beside(node, found)
        return (beside[0], CHANNELS, *beside[2:])
    if node.target is aten.embedding.default:
        return (*read[-1], CHANNELS)
    if node.target is aten.one_hot.default:
        return (*first, CHANNELS)
    if node.target is aten.unfold.default:
        return (*first, first[node.args[1]])  # type: ignore[index]
    if node.target is aten.stack.default:
        at = int(node.args[1] if len(node.args) > 1 else 0) % len(shape_of(node))  # type: ignore[arg-type]
        joined = [functools.reduce(operator.or_, bits) for bits in zip(*read, strict=True)]
        return (*joined[:at], 0, *joined[at:])
    if node.target is aten.index.Tensor:
        return _indexed(node, first)
    if labels := labels_of(node):
        return _of_product(labels, found)
    gone = node.args[1] if len(node.args) > 1 else None
    if len(shape_of(node)) < len(first) and isinstance(gone, int | list | tuple):
        axes = {int(at) % len(first) for at in ([gone] if isinstance(gone, int) else gone)}
        return tuple(bits for at, bits in enumerate(first) if at not in axes)
    return _beside(node, found)


def _indexed(node: Node, axes: tuple[int, ...]) -> tuple[int, ...]:
    """x[:, i, j]: what is read by indices runs along all the axes that they stand for."""
    given = node.args[1]
    asked = [at for at, each in enumerate(given) if each is not None]  # type: ignore[arg-type]
    bits = functools.reduce(operator.or_, (axes[at] for at in asked), 0)
    wide = max(len(shape_of(given[at])) for at in asked)  # type: ignore[index, arg-type]
    left = [each for at, each in enumerate(axes) if at not in asked]
    beside = asked == list(range(asked[0], asked[-1] + 1))
    begin = asked[0] if beside else 0  # indices that do not stand together go first
    return (*left[:begin], *([bits] * wide), *left[begin:])


def _of_product(labels: list[tuple[Node, str]], found: dict[Node, Along]) -> tuple[int, ...]:
    bits = dict.fromkeys(labels[-1][1], 0)
    for operand, own in labels[:-1]:
        for label, size, of in zip(own, shape_of(operand), found[operand].axes, strict=True):
            if label in bits and size > 1:
                bits[label] |= of
    return tuple(bits.values())


def _beside(node: Node, found: dict[Node, Along]) -> tuple[int, ...]:
    """Of an op that works number by number, or along axes that stay where they are."""
    made = [0] * len(shape_of(node))
    for each in node.all_input_nodes:
        size, axes = shape_of(each), found[each].axes
        for back in range(1, min(len(made), len(size)) + 1):
            if size[-back] > 1:
                made[-back] |= axes[-back]
    return tuple(made)


def _folded(
    before: tuple[int, ...], after: tuple[int, ...], axes: tuple[int, ...]
) -> tuple[int, ...]:
    """Of a reshape: axes that are neither split nor joined keep theirs, others share that of their group."""
    made = [0] * len(after)
    if torch.Size(before).numel() != torch.Size(after).numel() or 0 in before:
        return tuple(made)
    at, to = 0, 0
    while at < len(before) and to < len(after):
        begin, start = at, to
        left, right = before[at], after[to]
        at, to = at + 1, to + 1
        while left != right:
            if left < right:
                left, at = left * before[at], at + 1
            else:
                right, to = right * after[to], to + 1
        bits = 0
        for each in range(begin, at):
            bits |= axes[each] if before[each] > 1 else 0
        for each in range(start, to):
            made[each] = bits if after[each] > 1 else 0
    return tuple(made)
