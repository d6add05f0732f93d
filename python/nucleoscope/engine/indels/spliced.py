"""Insertions and deletions through two windows: around the new letters, and at the end that moves.

Left of an edit a layer is what it was, right of it the same moved by so many positions. What lies
between is made anew, in float64, of what lies around it. Layers that a shift changes everywhere (a step
that it is no multiple of, a flattened length) run whole behind that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nucleoscope import ops
from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.indels.looked_up import Layer, Letters, Piece, as_rows, laid
from nucleoscope.engine.indels.moved import Moving, Splices
from nucleoscope.engine.prepare import Asked, forward
from nucleoscope.engine.rows import Ints
from nucleoscope.engine.rules.registry import aten
from nucleoscope.engine.transfer import sent
from nucleoscope.engine.values.cuts import Cut
from nucleoscope.engine.values.forward import Forward, node_work
from nucleoscope.engine.values.own_conv import packed
from nucleoscope.engine.values.partial import Partial
from nucleoscope.engine.values.ways import Given, Moved, Reshaped, Windowed
from nucleoscope.engine.windows import Stencil

AT_ONCE = 1 << 24  # bytes of the widest value that a batch of edits makes
WORTH = 2.0  # times a multiply-add of a window takes, in float64 and gathered, what one of a forward does


@dataclass(frozen=True)
class Found:
    """What edits do, where that is less work than to run the model."""

    changes: Tensor  # [M, T]; NaN where it is not
    done: npt.NDArray[np.bool_]  # [M]
    exact: bool  # whether outputs were subtracted in float64


def spliced(asked: Asked, read: Read, edits: Splices) -> Found:
    """The change by each edit; those that are left are for the model itself. Raises Untraceable."""
    held = forward(asked, read)
    source, graph = held.forward.precise(), held.forward.graph
    target = None if held.untraced else held.leaves.target()
    axes = graph.nodes[graph.output].axes
    span = (0, axes.length if axes else 0)
    if target is not None and axes is not None and axes.dim is not None:
        span = target.cone(axes)
    work = node_work(graph)
    kinds: dict[frozenset[str], list[int]] = {}
    for shift in np.unique(edits.left + edits.right).tolist():
        kinds.setdefault(frozenset(Moving(graph, (shift,), span).steps), []).append(shift)
    done = np.zeros(len(edits), dtype=np.bool_)
    changes: Tensor | None = None
    values = read if target is None else target.of_values
    for shifts in kinds.values():
        moved = Moving(graph, tuple(shifts), span)
        mine = np.flatnonzero(np.isin(edits.left + edits.right, shifts))
        mine = mine[_pays(moved, edits.part(mine), work)]
        for numbers, made in _changes(asked, source, moved, edits, mine, values):
            if changes is None:
                changes = made.new_full((len(edits), made.shape[1]), torch.nan, device="cpu")
            changes[torch.from_numpy(numbers)] = made.cpu()
            done[numbers] = True
    none = torch.empty(len(edits), 0)
    return Found(none if changes is None else changes, done, source.like.dtype == torch.float64)


def _pays(moved: Moving, edits: Splices, work: dict[str, float]) -> npt.NDArray[np.bool_]:
    """Which edits are less work in windows than whole."""
    behind = sum(work.get(name, 0.0) for name in moved.rest)
    within = np.zeros(len(edits))
    for name, dirty in moved.dirty(edits).items():
        share = sum(high - low for low, high in dirty.pieces) / moved.axes(name).length
        within += work.get(name, 0.0) * share
    return WORTH * (within + behind) < sum(work.values())


def _changes(
    asked: Asked, source: Forward, moved: Moving, edits: Splices, mine: Ints,
    values: Callable[[Tensor], Tensor],
) -> Iterator[tuple[Ints, Tensor]]:  # fmt: skip
    """Batches of these edits, and what each changes, [B, T]: neighbouring sequences' originals at a time."""
    names = (moved.graph.edited, *moved.graph.others)
    size = max(1, asked.memory // 2 // (moved.kept_numbers * source.like.element_size() + 1))
    order = mine[np.lexsort((edits.end[mine] - edits.begin[mine], edits.sequence[mine] // size))]
    for first in range(0, len(asked.sequences.letters), size):
        own = order[edits.sequence[order] // size == first // size]
        if not len(own):
            continue
        given = (t.to(asked.device) for t in asked.part(first, first + size))
        kind = source.like.dtype
        inputs = {
            name: t.to(kind) if t.is_floating_point() else t
            for name, t in zip(names, given, strict=True)
        }
        with torch.no_grad():
            run = _Run(asked, source, moved, inputs, first)
            before = values(run.output)
            for numbers in _batches(moved, edits, own):
                part = edits.part(numbers)
                which = sent(part.sequence - first, before.device)
                yield numbers, values(run.outputs(part)) - before.index_select(0, which)


def _batches(moved: Moving, edits: Splices, own: Ints) -> Iterator[Ints]:
    """As many edits at a time as make 16 MB of their widest layer."""
    widest = max((moved.numbers(name) for name in moved.rest), default=1)
    for name, dirty in moved.dirty(edits.part(own)).items():
        wide = max(int((high - low).max()) for low, high in dirty.pieces)
        widest = max(widest, wide * moved.axes(name).channels)
    size = max(1, AT_ONCE // (8 * widest))
    yield from (own[at : at + size] for at in range(0, len(own), size))


def _cut(span: tuple[int, int]) -> Cut:
    low, high = span
    return Cut(low, 1, high - low)


class _Run:
    """A group of sequences whose layers are kept, and edits that move parts of them."""

    def __init__(
        self, asked: Asked, source: Forward, moved: Moving, inputs: dict[str, Tensor], first: int
    ) -> None:
        self.asked, self.forward, self.moved, self.first = asked, source, moved, first
        self._held: dict[str, Tensor] = {}
        self._steady: dict[str, Tensor] = {}
        self._weights: dict[str, tuple[Tensor, Tensor | None]] = {}
        graph = moved.graph
        wanted: list[tuple[str, Cut | None]] = [(name, None) for name in moved.steady]
        wanted += [(name, _cut(moved.kept(name))) for name in moved.looked_at]
        read = _cut(moved.read) if graph.output in moved.steps else None
        wanted.append((graph.output, read))
        self._partial = Partial(graph, wanted)
        output = source.original(inputs, self._keep, self._partial)
        axes, there = graph.nodes[graph.output].axes, self._partial.cuts[graph.output]
        self.output = (
            output if axes is None or there is None else Given(output, there, axes).whole()
        )
        nodes = {node.name: node for node in graph.fx}
        self._nodes = [nodes[name] for name in moved.needed if name != graph.edited]

    def _keep(self, name: str, value: Tensor) -> None:
        if name in self.moved.steady:
            self._steady[name] = value
        if name in self.moved.looked_at:
            axes, there = self.moved.axes(name), self._partial.cuts[name]
            assert there is not None
            whole = value.expand(len(value), *axes.with_length(there.count).shape)
            self._held[name] = as_rows(whole, axes)[
                :, there.index(_cut(self.moved.kept(name)))
            ].contiguous()

    def outputs(self, edits: Splices) -> Tensor:
        """The model's output for edited sequences, [B, *out].

        Positions of the output that are not read are NaN, where it is one of the layers that move.
        """
        moved, graph = self.moved, self.moved.graph
        dirty = moved.dirty(edits)
        layers: dict[str, Layer | Letters] = {
            graph.edited: Letters(moved.axes(graph.edited), lambda at: self._columns(edits, at))
        }
        for node in self._nodes:
            name, step = node.name, moved.steps[node.name]
            pieces = tuple(
                Piece(low, width, self._made(node, low, width, layers))
                for low, high in dirty[name].pieces
                if (width := int((high - low).max()))
            )
            layers[name] = Layer(
                moved.axes(name), edits.sequence - self.first, dirty[name].border,
                (edits.left // step, edits.right // step), self._held.get(name),
                moved.kept(name)[0], pieces,
            )  # fmt: skip
        whole = {
            name: layers[name].at(np.full(len(edits), low), high - low)
            for name in moved.last
            for low, high in [moved.cones[name]]
        }
        if graph.output in moved.steps:
            value, axes = whole[graph.output], moved.axes(graph.output)
            return Given(value, _cut(moved.read), axes).whole()
        which = sent(edits.sequence - self.first, self.output.device)
        for name, value in self._steady.items():
            dim = moved.steady[name]
            whole[name] = value if dim is None else value.index_select(dim, which)
        return self.forward.rest(whole, frozenset(moved.rest), len(edits))

    def _columns(self, edits: Splices, at: Ints) -> Tensor:
        sequences = self.asked.sequences
        size = sequences.size
        columns = torch.cat([torch.eye(size).double(), sequences.ambiguous, torch.zeros(1, size)])
        letters = edits.letters(sequences.letters, at)
        like = self.forward.like
        return sent(columns.to(like.dtype).numpy()[letters], like.device)

    def _made(
        self, node: torch.fx.Node, start: Ints, width: int, layers: dict[str, Layer | Letters]
    ) -> Tensor:
        """An op's output at `width` positions from `start` on, [B, ..., width, ...]."""
        how = self.moved.ways[node.name]
        sources = self.moved.sources(node.name)
        given, reach = layers[sources[0]], how.reach
        assert isinstance(reach, Stencil)
        begin = start * reach.stride - reach.pad
        if isinstance(how, Windowed):
            wide = (width - 1) * reach.stride + (reach.taps - 1) * reach.dilation + 1
            groups: Any = node.args[6] if len(node.args) > 6 else 1
            if how.op is not aten.conv1d.default:
                rest = ([0], [reach.dilation]) if how.op is aten.max_pool1d.default else ([0],)
                value = laid(given.rows(begin, wide, fill=how.fill), given.axes)
                pooled: Tensor = how.op(value, [reach.taps], [reach.stride], *rest)
                return pooled
            return self._conv(node, given.rows(begin, wide), reach, width, groups)
        if isinstance(how, Moved):
            return laid(given.rows(begin, width, reach.stride, how.fill), given.axes)
        values: dict[str, Any] = {name: layers[name].at(start, width) for name in sources}
        if isinstance(how, Reshaped):
            value = values[sources[0]]
            shaped: Tensor = value.reshape(len(value), *how.axes.with_length(width).shape)
            return shaped
        made: Tensor = self.forward.call(node, values)
        return made

    def _constant(self, node: torch.fx.Node, at: int) -> Tensor | None:
        given = node.args[at] if len(node.args) > at else None
        return self.forward.static(given.name) if isinstance(given, torch.fx.Node) else None

    def _conv(
        self, node: torch.fx.Node, rows: Tensor, s: Stencil, width: int, groups: int
    ) -> Tensor:
        """A convolution of rows [B, wide, C], [B, C_out, width]."""
        weight, bias = self._constant(node, 1), self._constant(node, 2)
        assert weight is not None
        if node.name not in self._weights:
            self._weights[node.name] = packed(weight, groups)
        by_tap, at_points = self._weights[node.name]
        made, _ = ops.conv(
            rows, by_tap, channels=len(weight), stride=s.stride, dilation=s.dilation, length=width,
            winograd=at_points, bias=bias,
        )  # fmt: skip
        return made.transpose(1, 2)
