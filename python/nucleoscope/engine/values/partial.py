"""A forward that makes some positions of its layers alone: which of each are needed for what is wanted.

An op of which nothing is known is run as the model runs it, on all positions of its inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from nucleoscope.engine.graph import Graph
from nucleoscope.engine.rules.registry import aten
from nucleoscope.engine.values.cuts import Cut
from nucleoscope.engine.values.ways import Given, Run, Way, broadcasts, constant_at, ripples, way


class Partial:
    """A graph's forward up to the values that are wanted, each at the positions that are wanted of it."""

    def __init__(self, graph: Graph, wanted: Iterable[tuple[str, Cut | None]]) -> None:
        """`wanted` are values by name; None: all of one, or it has no positions of its own."""
        self.graph = graph
        self.cuts: dict[str, Cut | None] = {}  # of what is made; None: it has no positions
        self.halts: list[str] = []  # ops that make all of what only some was wanted of
        self._ways: dict[str, Way] = {}
        for name, cut in wanted:
            self._want(name, cut)
        for node in reversed(graph.fx):
            if node.name in self.cuts and node.target is not aten.sym_size.int:
                self._reach(node)

    def _want(self, name: str, cut: Cut | None) -> None:
        node, before = self.graph.nodes[name], self.cuts.get(name)
        if node.role != "ripple" or node.axes is None:
            self.cuts[name] = None
        elif cut is None or node.axes.dim is None:
            self.cuts[name] = Cut.whole(node.axes.length)
        else:
            self.cuts[name] = cut if before is None else before.join(cut)

    def _reach(self, node: torch.fx.Node) -> None:
        """Want what an op reads for what is wanted of it; of what no position is wanted, one is made."""
        cut = self.cuts[node.name]
        if cut is not None and not cut.count:
            self.cuts[node.name] = cut = Cut(0, 1, 1)
        if node.op != "call_function":
            return
        how = way(self.graph, node)
        if how is None:
            self._want(node.name, None)
            if cut != self.cuts[node.name]:
                self.halts.append(node.name)
        else:
            self._ways[node.name] = how
        cut = self.cuts[node.name]
        for arg in node.all_input_nodes:
            axes = self.graph.nodes[arg.name].axes
            if how is None or cut is None or axes is None:
                self._want(arg.name, None)
            else:
                self._want(arg.name, cut.read(how.reach).within(axes.length))

    @property
    def share(self) -> float:
        """How many of the numbers of a whole forward are made."""
        made, there = 0, 0
        for node in self.graph.nodes.values():
            if node.role == "ripple" and node.axes is not None:
                cut = self.cuts.get(node.name)
                made += cut.count * node.axes.channels if cut is not None else 0
                there += node.axes.length * node.axes.channels
        return made / max(there, 1)

    def whole(self, node: torch.fx.Node) -> bool:
        """Whether an op makes all its positions of all of its inputs'."""
        values = [node.name, *(a.name for a in node.all_input_nodes)]
        pairs = ((self.cuts.get(v), self.graph.nodes[v].axes) for v in values)
        return all(c is None or a is None or c == Cut.whole(a.length) for c, a in pairs)

    def given(self, name: str, value: Any) -> Given:
        """A value with the positions that were made of it."""
        cut, axes = self.cuts[name], self.graph.nodes[name].axes
        assert cut is not None
        assert axes is not None
        return Given(value, cut, axes)

    def input(self, value: Tensor) -> Tensor:
        """The edited input where it is wanted."""
        axes = self.graph.nodes[self.graph.edited].axes
        cut = self.cuts[self.graph.edited]
        assert axes is not None
        assert cut is not None
        made: Tensor = Given(value, Cut.whole(axes.length), axes).at(cut)
        return made

    def make(self, node: torch.fx.Node, value: Callable[[torch.fx.Node], Any], call: Run) -> Any:
        """An op's output where it is wanted; `value` gives what was made, `call` runs an op on values."""
        how, made = self._ways[node.name], self.cuts[node.name]
        assert made is not None

        def there(arg: torch.fx.Node) -> Any:
            if ripples(self.graph, arg):
                return self.given(arg.name, value(arg)).at(made)
            constant = value(arg)
            return constant_at(constant, how.axes, made) if broadcasts(node.target) else constant

        def run(op: Any, args: Any, kwargs: Any) -> Any:
            args, kwargs = torch.fx.node.map_arg((args, kwargs), there)
            return call(op, args, kwargs)

        first = next(a for a in node.all_input_nodes if ripples(self.graph, a))
        return how.make(node, made, self.given(first.name, value(first)), run)
