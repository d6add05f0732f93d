"""Which values of a graph are still read, and the sizes of those that need not be there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from nucleoscope.engine.graph import Graph


def last_uses(graph: Graph, readers: Mapping[str, str] | None = None) -> dict[str, list[str]]:
    """Node name -> the values that nothing reads after it; `readers`: nodes at which others do their reading."""
    at = {node.name: number for number, node in enumerate(graph.fx)}
    last: dict[str, str] = {}
    for node in graph.fx:
        reader = (readers or {}).get(node.name, node.name)
        for arg in node.all_input_nodes:
            last[arg.name] = max(reader, last.get(arg.name, reader), key=at.__getitem__)
    uses: dict[str, list[str]] = {}
    for name, reader in last.items():
        if name != graph.output:
            uses.setdefault(reader, []).append(name)
    return uses


def size_of(node: torch.fx.Node, batch: int) -> int:
    """A dimension of a value that may not have been made on this path."""
    source: Any = node.args[0]
    dim: Any = node.args[1]
    return batch if dim == 0 else int(source.meta["val"].shape[dim])
