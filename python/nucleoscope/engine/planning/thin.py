"""Only the positions that are read: a graph's rules where each layer keeps a lattice of its positions.

One output behind a convolution of dilation 25 reads every 25th position of what is before it, and of
what is before that again. Such a layer is made there alone: its rows are the lattice's positions, counted
from the first, and its rule is the same stencil with another stride, dilation and pad.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from nucleoscope.engine.graph import Axes, Graph, Node, Rule, Thin
from nucleoscope.engine.rules.layout import Move
from nucleoscope.engine.windows import SAME, WHOLE, Lattice, whole


@dataclass(frozen=True)
class Kept:
    """An original activation at some of its positions."""

    name: str  # of the traced value
    axes: Axes  # of the whole of it
    lattice: Lattice

    @property
    def length(self) -> int:
        """How many positions are kept."""
        return self.lattice.count(self.axes.length)


@dataclass(frozen=True)
class Thinned:
    """A graph whose layers are made on lattices."""

    graph: Graph
    lattices: Mapping[str, Lattice]  # of every layer
    reads: Mapping[str, Kept]  # the originals that the rules name


def thin(graph: Graph, asked: Iterable[tuple[str, Lattice]]) -> Thinned:
    """Make each layer on the coarsest lattice that holds what its readers, and those who ask, read of it."""
    lattices = _lattices(graph, asked)
    made = _Thinning(graph, lattices)
    for name, node in graph.nodes.items():
        made.add(name, node)
    return Thinned(replace(graph, nodes=made.nodes), made.lattices, made.reads)


def _lattices(graph: Graph, asked: Iterable[tuple[str, Lattice]]) -> dict[str, Lattice]:
    """The positions of each layer that are read, backward from those that are asked for."""
    found: dict[str, Lattice] = {}

    def read(name: str, lattice: Lattice) -> None:
        length = _axes(graph, name).length
        there = found[name].join(lattice) if name in found else lattice
        found[name] = whole(length) if 1 in (length, there.step) else there

    for name, lattice in asked:
        read(name, lattice)
    for name in reversed(graph.needed):
        rule = _rule(graph, name)
        if not rule.thins:
            read(name, WHOLE)
        for index, source in enumerate(rule.inputs):
            read(source, rule.reach(index).reads(found[name]) if rule.thins else WHOLE)
    found[graph.edited] = whole(_axes(graph, graph.edited).length)  # sites are its positions
    return found


@dataclass
class _Thinning:
    """The nodes of the thinned graph, in the making."""

    graph: Graph
    lattices: dict[str, Lattice]
    nodes: dict[str, Node] = field(default_factory=dict)
    reads: dict[str, Kept] = field(default_factory=dict)

    def add(self, name: str, node: Node) -> None:
        """The node on its lattice, behind whatever picks its inputs' positions."""
        made = self.lattices.get(self.graph.resolve(name))
        if made is None or node.axes is None:  # nothing asks for its delta
            self.nodes[name] = node
            return
        rule = None if node.rule is None else self._rule(node.rule, made)
        self.nodes[name] = replace(node, axes=node.axes.on(made), rule=rule)

    def _rule(self, rule: Rule, made: Lattice) -> Rule:
        inputs, given = [], []
        for index, source in enumerate(rule.inputs):
            reach = rule.reach(index)
            inputs.append(source if rule.steps(index) else self._pick(source, reach.reads(made)))
            lattice = self.lattices[inputs[-1]]
            length = lattice.count(_axes(self.graph, source).length)
            given.append(Thin(lattice, length, reach.between(made, lattice)))
        reads = [
            self._read(
                read, rule.axes, made if (by := rule.looks(i)) is None else given[by].lattice
            )
            for i, read in enumerate(rule.reads)
        ]
        thinned = rule if self._dense(rule, made) else rule.thin(made, given)
        return replace(thinned, inputs=tuple(inputs), reads=tuple(reads))

    def _dense(self, rule: Rule, made: Lattice) -> bool:
        """Whether a rule takes and makes every position, so that it stays what it is."""
        sources = ((self.lattices[s], _axes(self.graph, s).length) for s in rule.inputs)
        layers = [(made, rule.axes.length), *sources]
        return all(lattice == whole(length) for lattice, length in layers)

    def _pick(self, source: str, wanted: Lattice) -> str:
        """The node that has a source's delta at the wanted positions, and no other."""
        axes, there = _axes(self.graph, source), self.lattices[source]
        wanted = whole(axes.length) if axes.length == 1 else wanted
        if wanted == there:
            return source
        name = _at(source, wanted)
        if name not in self.nodes:
            where = SAME.between(wanted, there)
            rule = Move((source,), axes.on(wanted), (), where)
            node = self.graph.nodes[source]
            self.nodes[name] = replace(node, name=name, axes=rule.axes, rule=rule)
            self.lattices[name] = wanted
        return name

    def _read(self, name: str, like: Axes, lattice: Lattice) -> str:
        """The name of an original at a lattice's positions."""
        kept = Kept(name, self.graph.nodes[name].axes or like, lattice)
        at = name if lattice == whole(kept.axes.length) else _at(name, lattice)
        self.reads[at] = kept
        return at


def _at(name: str, lattice: Lattice) -> str:
    step = f"::{lattice.step}" if lattice.step else ""
    return f"{name}[{lattice.first}{step}]"


def _axes(graph: Graph, name: str) -> Axes:
    axes = graph.nodes[name].axes
    assert axes is not None
    return axes


def _rule(graph: Graph, name: str) -> Rule:
    rule = graph.nodes[name].rule
    assert rule is not None
    return rule
