"""BatchNorms as part of the convolution ahead of them: one pass over a layer less."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
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
    """Convolutions that are made with the BatchNorm behind them, which has then nothing to do."""

    norms: dict[str, str]  # BatchNorm -> convolution
    weights: dict[
        str, tuple[Tensor, Tensor]
    ]  # of the latter, both together: [C_out, C_in / G, K] and [C_out]


class Norms:
    """The convolutions of a graph that a BatchNorm alone reads, and their weights with it."""

    def __init__(self, graph: Graph, static: Static) -> None:
        self._static = static
        self._convs = {n.name: n for n in graph.fx if _joins(graph, n)}
        self._weights: dict[str, tuple[Tensor, Tensor] | None] = {}

    def joined(self, heard: Container[str], partial: Partial | None) -> Joined:
        """Those of which nobody hears what lies between, where both have the same positions."""
        norms, weights = {}, {}
        for conv, node in self._convs.items():
            (norm,) = node.users
            apart = partial is not None and not _alike(partial, conv, norm.name)
            if conv in heard or apart or (both := self._both(conv)) is None:
                continue
            norms[norm.name], weights[conv] = conv, both
        return Joined(norms, weights)

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


def _alike(partial: Partial, conv: str, norm: str) -> bool:
    cuts = partial.cuts
    return conv in cuts and norm in cuts and cuts[conv] == cuts[norm]


def _joins(graph: Graph, node: torch.fx.Node) -> bool:
    """Whether it is a convolution over the length, of weights of the model's own, that a BatchNorm alone reads."""
    if node.target is not aten.conv1d.default or len(node.users) != 1:
        return False
    (norm,) = node.users
    given, *weights = node.all_input_nodes
    own = all(graph.nodes[w.name].role == "static" for w in weights)
    if norm.target is not BATCH_NORM or not own or graph.nodes[given.name].role == "static":
        return False
    return graph.nodes[node.name].role == graph.nodes[norm.name].role != "tail"
