"""Ops that are made with one beside them, one pass over a layer less.

A BatchNorm is part of the convolution ahead of it, and a ReLU goes behind the max-pool that reads it.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nucleoscope.engine.graph import Static
from nucleoscope.engine.rules.registry import argument, aten

if TYPE_CHECKING:
    from nucleoscope.engine.graph import Graph
    from nucleoscope.engine.values.partial import Partial

BATCH_NORM = aten._native_batch_norm_legit_no_training.default


def folded(
    norm: torch.fx.Node, static: Static, taps: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The weights [..., C] and bias [C] of a convolution with the BatchNorm behind it, which is in eval mode."""

    def held(at: int, absent: float) -> Tensor:
        given = norm.args[at]
        if isinstance(given, torch.fx.Node):
            return static(given.name).double()
        return taps.new_full((1,), absent, dtype=torch.float64)

    eps = float(argument(norm, 6, "eps", 1e-5))
    scale = held(1, 1.0) * torch.rsqrt(held(4, 1.0) + eps)
    shift = ((0.0 if bias is None else bias) - held(3, 0.0)) * scale + held(2, 0.0)
    return (taps * scale).to(taps), shift.to(taps).expand(taps.shape[-1]).contiguous()


@dataclass(frozen=True)
class Joined:
    """Ops that are made with one beside them, and have then nothing to do."""

    norms: dict[str, str] = field(default_factory=dict)  # BatchNorm -> the convolution ahead of it
    # Of that, both together: [C_out, C_in / G, K] and [C_out].
    weights: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    relus: dict[str, str] = field(
        default_factory=dict
    )  # ReLU -> its input, which a max-pool behind it reads
    pools: set[str] = field(
        default_factory=set
    )  # max-pools that are made of that, with the ReLU behind them


class Joins:
    """The ops of a graph that may be joined: none but the other reads what lies between."""

    def __init__(self, graph: Graph, static: Static) -> None:
        self._static = static
        self._convs = {n.name: n for n in graph.fx if _ahead_of_a_norm(graph, n)}
        self._relus = {n.name: n for n in graph.fx if _ahead_of_a_pool(n)}
        self._weights: dict[str, tuple[Tensor, Tensor] | None] = {}

    def where(self, heard: Container[str], partial: Partial | None) -> Joined:
        """Those of which nobody hears what lies between, where both have the same positions."""
        made = Joined()
        for conv, node in self._convs.items():
            (norm,) = node.users
            if conv in heard or not _alike(partial, conv, norm.name):
                continue
            if (both := self._both(conv)) is not None:
                made.norms[norm.name], made.weights[conv] = conv, both
        for relu, node in self._relus.items():
            (given,), (pool,) = node.all_input_nodes, node.users
            if relu not in heard and _alike(partial, given.name, relu):
                made.relus[relu] = given.name
                made.pools.add(pool.name)
        return made

    def _both(self, conv: str) -> tuple[Tensor, Tensor] | None:
        """The weight and bias of a convolution with the BatchNorm in them; None where they are not finite."""
        if conv not in self._weights:
            node: Any = self._convs[conv]
            bias: Any = argument(node, 2, "bias", None)
            (norm,) = node.users
            taps, shift = folded(
                norm, self._static, self._static(node.args[1].name).movedim(0, 2),
                None if bias is None else self._static(bias.name),
            )  # fmt: skip
            made = taps.movedim(2, 0).contiguous(), shift
            finite = all(bool(t.isfinite().all()) for t in made)
            self._weights[conv] = made if finite else None
        return self._weights[conv]


def _alike(partial: Partial | None, one: str, other: str) -> bool:
    """Whether the same positions are made of both."""
    if partial is None:
        return True
    cuts = partial.cuts
    return one in cuts and other in cuts and cuts[one] == cuts[other]


def _ahead_of_a_norm(graph: Graph, node: torch.fx.Node) -> bool:
    """Whether it is a convolution over the length, of weights of the model's own, that a BatchNorm alone reads."""
    if node.target is not aten.conv1d.default or len(node.users) != 1:
        return False
    (norm,) = node.users
    given, *weights = node.all_input_nodes
    own = all(graph.nodes[w.name].role == "static" for w in weights)
    if norm.target is not BATCH_NORM or not own or graph.nodes[given.name].role == "static":
        return False
    return graph.nodes[node.name].role == graph.nodes[norm.name].role != "tail"


def _ahead_of_a_pool(node: torch.fx.Node) -> bool:
    """Whether it is a ReLU that a max-pool alone reads: behind that it is the same, of fewer numbers."""
    behind = next(iter(node.users), None)
    pooled = behind is not None and behind.target is aten.max_pool1d.default
    return node.target is aten.relu.default and pooled and len(node.users) == 1
