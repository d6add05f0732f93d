"""GenNet's topology, layers of edges between numbered nodes: read from its file, and checked."""

from __future__ import annotations

import csv
from collections.abc import Container, Iterable, Sequence
from itertools import count
from operator import index
from pathlib import Path

Edge = tuple[int, int]  # node below, node above


def checked(topology: Sequence[Sequence[Edge]]) -> list[list[Edge]]:
    """The edges of each pair of neighbouring layers, once every node is entered and leads on.

    Layers are called as in GenNet's file: ``layer0_node`` are the inputs. Raises ValueError for no layer, a layer
    without edges, an edge that is no pair of numbers from 0 or is named twice, and a node that no edge enters or
    leaves.
    """
    if isinstance(topology, str | Path):
        raise TypeError(
            f"topology: {str(topology)!r} is a file's name; give what read_gennet(path) reads from it"
        )
    if not isinstance(topology, Iterable):
        raise TypeError(
            f"topology: {topology!r}; give for each pair of neighbouring layers a list of edges (node below, node "
            "above), as read_gennet(path) reads them"
        )
    layers = [_edges(at, edges) for at, edges in enumerate(topology)]
    if not layers:
        raise ValueError(
            "topology: it has no layers; give edges (node below, node above) for each pair of neighbouring "
            "layers, or None for the small network of GenNet() itself"
        )
    below: set[int] = set()
    for at, edges in enumerate(layers):
        left, entered = ({edge[side] for edge in edges} for side in (0, 1))
        if at:
            _whole(at, left | below, below, f"no edge from layer{at - 1}_node enters it")
        _whole(at, left | below, left, f"no edge leads from it to layer{at + 1}_node")
        below = entered
    _whole(len(layers), below, below, f"no edge from layer{len(layers) - 1}_node enters it")
    return layers


def _edges(at: int, edges: Iterable[Edge]) -> list[Edge]:
    """The edges from one layer to the next, as pairs of numbers from 0 that are there once."""
    between = f"from layer{at}_node to layer{at + 1}_node"
    if not isinstance(edges, Iterable):
        raise ValueError(
            f"topology: {edges!r} {between} is no list of edges (node below, node above)"
        )
    made: dict[Edge, None] = {}
    for edge in edges:
        try:
            below, above = (index(node) for node in edge)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"topology: {edge!r} {between} is no pair (node below, node above) of whole numbers"
            ) from error
        if min(below, above) < 0:
            raise ValueError(
                f"topology: edge ({below}, {above}) {between}: nodes are numbered from 0"
            )
        if (below, above) in made:
            raise ValueError(f"topology: edge ({below}, {above}) {between} is named twice")
        made[below, above] = None
    if not made:
        raise ValueError(f"topology: there is no edge {between}; leave the layer out or join it")
    return list(made)


def _whole(at: int, nodes: set[int], held: Container[int], lack: str) -> None:
    """Refuse a layer of whose nodes, from 0 to the largest, one is not held."""
    missing = next(node for node in count() if node not in held)
    if missing <= max(nodes):
        raise ValueError(
            f"topology: node {missing} of layer{at}_node: {lack}. Give it one, or leave the node out and number "
            "the layer's others from 0 without gaps"
        )


def read_gennet(path: str | Path) -> list[list[Edge]]:
    """GenNet's topology: for each pair of neighbouring layers, its edges (node below, node above), each once.

    A csv with columns ``layer0_node``, ``layer1_node``, ...; numbers from 0. Raises ValueError where a column is
    missing or holds no number from 0, and where a node of a layer is left out: nothing would lead to it.
    """
    path = Path(path)
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        names = _columns(path, rows.fieldnames or ())
        first: dict[str, dict[int, int]] = {name: {} for name in names}  # node -> its first line
        nodes = []
        for row in rows:
            nodes.append([_node(path, rows.line_num, name, row[name]) for name in names])
            for name, node in zip(names, nodes[-1], strict=True):
                first[name].setdefault(node, rows.line_num)
    if not nodes:
        raise ValueError(f"{path}: no rows under the names of the columns, and so no topology")
    for name, lines in first.items():
        missing = next(node for node in count() if node not in lines)
        if missing <= max(lines):
            raise ValueError(
                f"{path}, line {lines[max(lines)]}: {name} goes up to {max(lines)}, and no row has its node "
                f"{missing}: number the nodes of a layer from 0 without gaps"
            )
    return [sorted({(row[i], row[i + 1]) for row in nodes}) for i in range(len(names) - 1)]


def _columns(path: Path, held: Sequence[str]) -> list[str]:
    """The columns of nodes, lowest layer first."""
    names = [f"layer{i}_node" for i in range(sum(name.endswith("_node") for name in held))]
    if len(names) < 2 or not set(names) <= set(held):
        raise ValueError(
            f"{path}, line 1: columns {list(held)}, where layer0_node, layer1_node, ... are needed"
        )
    return names


def _node(path: Path, line: int, name: str, said: str | None) -> int:
    """The node that a row has in a column."""
    if said is None or not said.strip().isdecimal():
        raise ValueError(
            f"{path}, line {line}: {name} holds {'nothing' if said is None else repr(said)}, where a node is "
            "needed: a whole number from 0"
        )
    return int(said)
