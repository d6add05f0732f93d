"""Ops that move numbers but make none: reshape, permute, slice, pad, crop, flip, concat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nucleoscope.engine.chain import Place
from nucleoscope.engine.graph import Axes, NotLocal, Rule, Static, Thin, vector
from nucleoscope.engine.rows import gather, zero_outside
from nucleoscope.engine.rules.fold import Fold, cells_dim, fold
from nucleoscope.engine.rules.registry import Lowering, argument, aten, rule, sample_shape
from nucleoscope.engine.rules.resample import Interleaved
from nucleoscope.engine.step import Alias, Step
from nucleoscope.engine.windows import Lattice, Mirror, Reach, Stencil
from nucleoscope.ops import Link


@dataclass(frozen=True)
class Move(Rule):
    """Whole positions to other places along the length: slice, pad, crop, flip."""

    where: Reach
    index: tuple[int, ...] = ()  # a flip may reorder the channels as well

    def reach(self, index: int) -> Reach:
        return self.where

    def steps(self, index: int) -> bool:
        return isinstance(self.where, Stencil)

    def thin(self, made: Lattice, given: Sequence[Thin]) -> Rule:
        return replace(self, axes=self.axes.on(made), where=given[0].reach)

    @property
    def chained(self) -> bool:
        return not isinstance(self.where, Mirror)

    def link(self, place: Place) -> Link:
        where = self.where
        assert isinstance(where, Stencil)
        return place.link("delta_sum", given=place.value(0), stride=where.stride, pad=where.pad)

    def delta(self, step: Step) -> Tensor:
        given, where = step.given(0), self.where
        assert isinstance(where, Mirror)
        moved = gather(given.values, given.rows.find(where.length - 1 - step.rows.positions))
        if self.index:
            moved = moved[..., list(self.index)]
        return zero_outside(moved, step.rows)


@dataclass(frozen=True)
class Channels(Rule):
    """Some channels, in some order."""

    index: tuple[int, ...]

    def pack(self, static: Static) -> Tensor:
        return torch.tensor(self.index, device=static("").device)

    def delta(self, step: Step) -> Tensor:
        given = step.seen(0)
        assert given is not None
        return given.index_select(3, step.packed)


class Block(NamedTuple):
    """A value of a chain, and which channels it is to be."""

    number: int
    first: int
    end: int


def side_by_side(place: Place, blocks: list[Block], first: int, end: int) -> Link:
    """The link that makes the channels [first, end): of two values, of which each may be so made."""

    def value(part: list[Block], first: int, end: int) -> int:
        if not part:
            return -1
        if part[0][1:] == (first, end):
            return part[0].number
        return place.chain.append(side_by_side(place, part, first, end))

    alone = len(blocks) == 1 and blocks[0].first == first
    cut = 1 if alone else len(blocks) // 2
    left, right = blocks[:cut], blocks[cut:]
    given = value(left, first, left[-1].end if left else first)
    beside = value(right, right[0].first if right else end, end)
    return replace(place.link("delta_concat", given=given, beside=beside), channels=end - first)


@dataclass(frozen=True)
class Concat(Rule):
    """Values side by side over the channels; one that no edit reaches leaves zeros."""

    places: tuple[tuple[int, ...], ...]  # where each input's channels go, in rising order

    @property
    def chained(self) -> bool:
        return all(place and place[-1] - place[0] + 1 == len(place) for place in self.places)

    def link(self, place: Place) -> Link:
        numbers = (place.value(index) for index in range(len(self.inputs)))
        blocks = [
            Block(number, where[0], where[-1] + 1)
            for number, where in zip(numbers, self.places, strict=True)
            if number >= 0
        ]
        return side_by_side(place, blocks, 0, self.axes.channels)

    def pack(self, static: Static) -> list[Tensor]:
        return [torch.tensor(p, device=static("").device) for p in self.places]

    def delta(self, step: Step) -> Tensor:
        out = step.zeros(self.axes.channels)
        for index, place in enumerate(step.packed):
            given = step.seen(index)
            if given is not None:
                out.index_copy_(3, place, given)
        return out


@rule(
    aten.view.default, aten._unsafe_view.default, aten.reshape.default, aten.flatten.using_ints,
    aten.squeeze.dim, aten.squeeze.dims, aten.squeeze.default, aten.unsqueeze.default,
    aten.clone.default, aten.contiguous.default, aten.alias.default, aten.detach.default,
    aten.dropout.default, aten.unflatten.int, aten.lift_fresh_copy.default,
)  # fmt: skip
def lower_reshape(low: Lowering, node: torch.fx.Node) -> Alias | Interleaved:
    """The sample seen as [left, length, right] stays what it is, unless channels join the length."""
    source: Any = node.args[0]
    if node.target is aten.dropout.default and node.args[2]:
        raise NotLocal("dropout is on: the model is not in eval mode")
    axes, shape = low.axes(source), sample_shape(node)
    if prod(shape) != prod(axes.shape):
        raise NotLocal("it reshapes across the batch")
    longer = _longer(shape, axes)
    if longer is not None:
        sizes = (axes.left, axes.right // longer.right, longer.right)
        return Interleaved((low.ripple(source),), longer, (), sizes)
    return Alias(low.ripple(source), Axes(shape, axes.left, axes.length, axes.right))


def _longer(shape: tuple[int, ...], axes: Axes) -> Axes | None:
    """The axes where a reshape lays channels behind the length into it; None where it does not.

    A flattened sample is left alone: its one axis is the columns of a linear layer.
    """
    for dim, size in enumerate(shape):
        left, right = prod(shape[:dim]), prod(shape[dim + 1 :])
        joins = size > axes.length > 1 and size % axes.length == 0 and max(left, right) > 1
        if joins and left == axes.left and right * (size // axes.length) == axes.right:
            return Axes(shape, left, size, right)
    return None


@rule(aten._to_copy.default, aten.to.dtype)
def lower_cast(low: Lowering, node: torch.fx.Node) -> Alias:
    source: Any = node.args[0]
    if node.meta["val"].dtype != source.meta["val"].dtype:
        raise NotLocal("it changes the number type")
    return Alias(low.ripple(source), low.axes(source))


@rule(aten.permute.default, aten.transpose.int, aten.select.int)
def lower_permute(low: Lowering, node: torch.fx.Node) -> Alias | Channels | Move | Fold:
    return _replay(low, node)


@rule(aten.flip.default, aten.slice.Tensor)
def lower_cut(low: Lowering, node: torch.fx.Node) -> Alias | Channels | Move | Fold:
    return _replay(low, node)


def _replay(low: Lowering, node: torch.fx.Node) -> Alias | Channels | Move | Fold:
    """Run the op on the channels' own numbers to see where each goes; the length moves apart."""
    source: Any = node.args[0]
    axes = low.axes(source)
    name, shape, dim = low.ripple(source), sample_shape(node), axes.dim
    if axes.length > 1 and dim is None:
        return fold(low, node)
    along = _along_length(node, dim, axes)
    if along is not None:
        return _move(name, axes, node, along)
    if dim is None:  # a plain vector
        ids = torch.arange(axes.channels).view(1, *axes.shape)
        return _channels(name, vector(shape), node.target(ids, *node.args[1:]).reshape(-1), axes)  # type: ignore[operator]
    sizes = [1 if i == dim else size for i, size in enumerate(axes.shape)]
    ids = torch.arange(axes.channels).view(1, *sizes)
    moved = node.target(ids, *node.args[1:])  # type: ignore[operator]
    mark = torch.zeros(1, *axes.shape, dtype=torch.bool)
    mark.select(dim + 1, 1).fill_(True)
    where = cells_dim(node.target(mark, *node.args[1:])[0], axes.length)  # type: ignore[operator]
    left, right = prod(shape[:where]), prod(shape[where + 1 :])
    return _channels(name, Axes(shape, left, axes.length, right), moved.reshape(-1), axes)


def _channels(name: str, out: Axes, ids: Tensor, axes: Axes) -> Alias | Channels:
    index = tuple(ids.tolist())
    if index == tuple(range(axes.channels)):
        return Alias(name, out)
    return Channels((name,), out, (), index)


def _dims(node: torch.fx.Node, rank: int) -> list[int]:
    given: Any = node.args[1]
    return [d % rank for d in (given if isinstance(given, list | tuple) else [given])]


def _along_length(node: torch.fx.Node, dim: int | None, axes: Axes) -> Reach | None:
    """How the op moves positions, if the length is among what it acts on."""
    if dim is None:
        return None
    rank = len(axes.shape) + 1
    if node.target is aten.flip.default:
        return Mirror(axes.length) if dim + 1 in _dims(node, rank) else None
    if node.target is aten.select.int and _dims(node, rank) == [dim + 1]:
        return Stencil(pad=-(int(node.args[2]) % axes.length))  # type: ignore[arg-type]
    if node.target is aten.slice.Tensor and int(argument(node, 1, "dim", 0)) % rank == dim + 1:
        start, step = argument(node, 2, "start", 0) or 0, argument(node, 4, "step", 1)
        start = min(start + axes.length if start < 0 else start, axes.length)
        return Stencil(stride=int(step), pad=-max(int(start), 0))
    return None


def _move(name: str, axes: Axes, node: torch.fx.Node, along: Reach) -> Move:
    shape = sample_shape(node)
    dim = axes.dim
    assert dim is not None
    if node.target is aten.select.int:
        return Move((name,), vector(shape), (), along)
    if node.target is aten.flip.default:
        sizes = [1 if i == dim else size for i, size in enumerate(axes.shape)]
        ids = (
            torch.arange(axes.channels)
            .view(1, *sizes)
            .flip(_dims(node, len(shape) + 1))
            .reshape(-1)
        )
        index = tuple(ids.tolist())
        return Move((name,), axes, (), along, () if index == tuple(range(len(index))) else index)
    return Move((name,), axes.with_length(shape[dim]), (), along)


@rule(aten.constant_pad_nd.default, aten.pad.default)
def lower_pad(low: Lowering, node: torch.fx.Node) -> Move:
    source: Any = node.args[0]
    axes, widths = low.axes(source), list(node.args[1])  # type: ignore[arg-type]
    if (
        argument(node, 2, "mode", "constant") not in ("constant", 0, 0.0)
        and node.target is aten.pad.default
    ):
        raise NotLocal("padding that repeats or mirrors the sequence")
    dim = axes.dim
    if dim is None:
        raise NotLocal("padding of something other than the length")
    pairs = {len(axes.shape) - 1 - i: widths[2 * i : 2 * i + 2] for i in range(len(widths) // 2)}
    if any(any(w) for d, w in pairs.items() if d != dim):
        raise NotLocal("padding of something other than the length")
    before, after = pairs.get(dim, (0, 0))
    longer = axes.with_length(axes.length + before + after)
    return Move((low.ripple(source),), longer, (), Stencil(pad=before))


@rule(aten.cat.default)
def lower_concat(low: Lowering, node: torch.fx.Node) -> Concat:
    parts: Any = node.args[0]
    shape = sample_shape(node)
    edited = [low.axes(p) for p in parts if low.is_ripple(p)]
    axes = edited[0]
    if any((a.dim, a.length) != (axes.dim, axes.length) for a in edited):
        raise NotLocal("its edited values have their lengths on different axes")
    dim = int(argument(node, 1, "dim", 0)) % (len(shape) + 1) - 1
    if dim < 0 or (axes.length > 1 and (axes.dim is None or dim == axes.dim)):
        raise NotLocal("a concatenation along the length")
    length_dim = axes.dim
    sizes = [1 if d == length_dim else size for d, size in enumerate(shape)]
    ids = torch.arange(prod(sizes)).view(sizes)
    inputs, places, first = [], [], 0
    for part in parts:
        size = (
            sample_shape(part)[dim] if not low.is_static(part) else part.meta["val"].shape[dim + 1]
        )
        if low.is_ripple(part):
            inputs.append(low.ripple(part))
            places.append(tuple(ids.narrow(dim, first, size).reshape(-1).tolist()))
        first += size
    if length_dim is None:
        return Concat(tuple(inputs), vector(shape), (), tuple(places))
    left, right = prod(shape[:length_dim]), prod(shape[length_dim + 1 :])
    return Concat(tuple(inputs), Axes(shape, left, axes.length, right), (), tuple(places))
