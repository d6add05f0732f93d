"""Convolutions of a traced program as whole layers: with the BatchNorm, the ReLU and the residual behind them."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from nucleoscope.engine.graph import Graph
from nucleoscope.engine.rules.registry import argument, aten
from nucleoscope.engine.values.cuts import Cut
from nucleoscope.engine.values.joined import BATCH_NORM
from nucleoscope.engine.values.placed import Placed, placed
from nucleoscope.engine.windows import Stencil

CONVOLUTIONS = (aten.conv1d.default, aten.conv1d.padding)


@dataclass(frozen=True)
class Layer:
    """A convolution over the length and what is done to its output at once."""

    nodes: tuple[torch.fx.Node, ...]  # what it stands for, in order; it makes the last
    given: str
    residual: str | None = None
    residual_first: bool = False  # whether it is added before the ReLU
    norm: torch.fx.Node | None = None
    relu: bool = False

    @property
    def conv(self) -> torch.fx.Node:
        return self.nodes[0]

    @property
    def groups(self) -> int:
        return int(argument(self.conv, 6, "groups", 1))

    @property
    def reach(self) -> Stencil:
        """Which positions each of its positions reads."""
        stride, dilation = (
            int(argument(self.conv, at, name, [1])[0])
            for at, name in ((3, "stride"), (5, "dilation"))
        )
        taps = self.conv.args[1].meta["val"].shape[2]  # type: ignore[union-attr]
        pad = argument(self.conv, 4, "padding", [0])
        if isinstance(pad, str):
            pad = [{"same": (taps - 1) * dilation // 2, "valid": 0}[pad]]
        return Stencil(taps, stride, dilation, int(pad[0]))

    @property
    def lengths(self) -> tuple[int, int]:
        """Positions of what it is given, and of what it makes."""
        given, made = (n.meta["val"].shape[2] for n in (self.conv.args[0], self.conv))  # type: ignore[union-attr]
        return given, made

    @property
    def whole(self) -> Placed:
        """All of it."""
        return Placed.whole(self.reach, self.lengths[1])

    def placed(self, cuts: Mapping[str, Cut | None]) -> Placed | None:
        """Where it is made if values are made at these positions alone; None: it is not one op there."""
        wide, length = self.lengths
        given = cuts[self.given] or Cut.whole(wide)
        made = {cuts[n.name] or Cut.whole(length) for n in self.nodes}
        if len(made) > 1:
            return None
        (cut,) = made
        if (cut, given) == (Cut.whole(length), Cut.whole(wide)):
            return self.whole
        joins = None if self.residual is None else cuts[self.residual]
        return placed(self.reach, cut, given, wide, joins or Cut.whole(length))

    def extended(self, graph: Graph) -> Layer | None:
        """The same with the next node, where that alone reads what is made so far and can be taken in."""
        last = self.nodes[-1]
        if last.name == graph.output or len(last.users) != 1:
            return None
        (node,) = last.users
        if graph.nodes[last.name].role == "original" != graph.nodes[node.name].role:
            return None  # a sum belongs to what the sequence reaches
        more = replace(self, nodes=(*self.nodes, node))
        if node.target is operator.getitem:
            return more if last.target is BATCH_NORM and node.args[1] == 0 else None
        if node.target is BATCH_NORM:
            alone = self.norm is None and not self.relu and self.residual is None
            steady = all(graph.nodes[a.name].role == "static" for a in node.all_input_nodes[1:])
            return replace(more, norm=node) if alone and steady else None
        if node.target is aten.relu.default and not self.relu:
            return replace(more, relu=True, residual_first=self.residual is not None)
        if node.target is aten.add.Tensor and self.residual is None and not node.kwargs:
            return (
                replace(more, residual=other.name)
                if (other := _joined(graph, node, last))
                else None
            )
        return None


def _joined(graph: Graph, node: torch.fx.Node, last: torch.fx.Node) -> torch.fx.Node | None:
    """What a sum adds to the value it is given, if it is an activation of the same shape."""
    others = [a for a in node.args if a is not last]
    if len(others) != 1 or not isinstance(others[0], torch.fx.Node):
        return None
    shapes = [tuple(n.meta["val"].shape[1:]) for n in (last, others[0])]
    active = graph.nodes[others[0].name].role in ("ripple", "tail", "original")
    return others[0] if active and shapes[0] == shapes[1] else None


def layers(graph: Graph) -> dict[str, Layer]:
    """The layers of a graph by the name of the node that each makes."""
    found: dict[str, Layer] = {}
    taken: set[torch.fx.Node] = set()
    for node in graph.fx:
        layer = begun(graph, node)
        while layer is not None:
            more = layer.extended(graph)
            if more is None or more.nodes[-1] in taken:  # one of two that are added takes the sum
                break
            layer = more
        if layer is not None and layer.nodes[-1].target is not BATCH_NORM:
            found[layer.nodes[-1].name] = layer
            taken.update(layer.nodes)
    return found


def begun(graph: Graph, node: torch.fx.Node) -> Layer | None:
    """A convolution with weights of its own, padded alike at both ends."""
    if node.op != "call_function" or node.target not in CONVOLUTIONS:
        return None
    given, *weights = node.all_input_nodes
    own = all(graph.nodes[w.name].role == "static" for w in weights)
    if not own or graph.nodes[given.name].role == "static" or given.meta["val"].ndim != 3:
        return None
    pad = argument(node, 4, "padding", [0])
    if pad == "same" and (node.args[1].meta["val"].shape[2] - 1) % 2:  # type: ignore[union-attr]
        return None
    return Layer((node,), given.name)
