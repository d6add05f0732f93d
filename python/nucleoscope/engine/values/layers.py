"""Convolutions of a traced program as whole layers: with the BatchNorm, the ReLU and the residual behind them."""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nucleoscope.engine.graph import Graph, Static
from nucleoscope.engine.rules.registry import argument, aten
from nucleoscope.ops import conv, conv_backward, pack_backward, pack_weight

CONVOLUTIONS = (aten.conv1d.default, aten.conv1d.padding)
BATCH_NORM = aten._native_batch_norm_legit_no_training.default


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

    def extended(self, graph: Graph) -> Layer | None:
        """The same with the next node, where that alone reads what is made so far and can be taken in."""
        last = self.nodes[-1]
        if last.name == graph.output or len(last.users) != 1:
            return None
        (node,) = last.users
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
    found = {}
    for node in graph.fx:
        layer = begun(graph, node)
        while layer is not None and (more := layer.extended(graph)) is not None:
            layer = more
        if layer is not None and layer.nodes[-1].target is not BATCH_NORM:
            found[layer.nodes[-1].name] = layer
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


class Held:
    """A layer with its weights packed, as a function that autograd can follow."""

    def __init__(self, layer: Layer, static: Static) -> None:
        node, self.layer = layer.conv, layer
        weight: Any = node.args[1]
        bias: Any = argument(node, 2, "bias", None)
        taps = static(weight.name).permute(2, 1, 0).contiguous()  # [K, C_in / G, C_out]
        self.bias = None if bias is None else static(bias.name)
        if layer.norm is not None:
            taps, self.bias = _folded(layer.norm, static, taps, self.bias)
        self.taps, self.wide, self.channels = taps.shape
        self.stride, self.dilation = (
            int(argument(node, at, name, [1])[0]) for at, name in ((3, "stride"), (5, "dilation"))
        )
        self.groups = layer.groups
        span, pad = (self.taps - 1) * self.dilation, argument(node, 4, "padding", [0])
        self.pad = {"same": span // 2, "valid": 0}[pad] if isinstance(pad, str) else int(pad[0])
        self._pack(taps)

    def _pack(self, taps: Tensor) -> None:
        self.weight = pack_weight(taps, self.groups)
        self.back = pack_backward(taps, self.groups, self.dilation)

    def __call__(self, x: Tensor, residual: Tensor | None, beside: Tensor | None = None) -> Tensor:
        """[N, C_in, V] -> [N, C_out, L], laid out channels last.

        With `beside` [1 or N, C_out, L], what enters its ReLU at another input, the ReLU's chord stands for its
        derivative.
        """
        made: Tensor = _Run.apply(x, residual, beside, self)  # type: ignore[no-untyped-call]
        return made

    def before_relu(self, x: Tensor, residual: Tensor | None) -> Tensor:
        """[N, C_in, V] -> what enters the ReLU, [N, C_out, L]."""
        joins = residual if self.layer.residual_first else None
        return self._conv(x, joins, relu=False)[0].mT

    @property
    def steps(self) -> dict[str, int]:
        return {"stride": self.stride, "dilation": self.dilation, "pad": self.pad}

    def made(
        self, x: Tensor, residual: Tensor | None, beside: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The same, and the slope of its ReLU; both [N, L, C_out]."""
        return self._conv(x, residual, beside, relu=self.layer.relu)

    def _conv(
        self, x: Tensor, residual: Tensor | None, beside: Tensor | None = None, *, relu: bool
    ) -> tuple[Tensor, Tensor]:
        length = (x.shape[2] + 2 * self.pad - (self.taps - 1) * self.dilation - 1) // self.stride
        return conv(
            x.mT, self.weight, channels=self.channels, **self.steps, length=length + 1, bias=self.bias,
            residual=None if residual is None else residual.mT, relu=relu,
            residual_first=self.layer.residual_first,
            beside=None if beside is None else beside.mT,
        )  # fmt: skip

    def gradients(
        self, by_output: Tensor, slope: Tensor, positions: int, joined: bool
    ) -> tuple[Tensor, Tensor]:
        """The gradients by x (with that by the residual, where `joined`: it is x) and by the residual."""
        given = by_output.mT.contiguous()
        by_residual = given
        if self.layer.relu and self.layer.residual_first:
            bytes_ = slope.dtype == torch.uint8
            by_residual = torch.where(slope != 0, given, 0.0) if bytes_ else given * slope
        by_x = self._back(
            given, positions, slope if self.layer.relu else None, by_residual if joined else None
        )
        return by_x.mT, by_residual.mT

    def back_through(self, by_z: Tensor, positions: int) -> Tensor:
        """Gradients by what enters its ReLU [N, L, C_out] -> by x [N, C_in, V], of a layer without a residual."""
        return self._back(by_z.contiguous(), positions, None, None).mT

    def _back(
        self, given: Tensor, positions: int, slope: Tensor | None, residual: Tensor | None
    ) -> Tensor:
        return conv_backward(
            given, self.back, channels=self.wide * self.groups, taps=self.taps, **self.steps,
            length=positions, slope=slope, residual=residual,
        )  # fmt: skip


class _Run(torch.autograd.Function):
    """A layer forward; and back to what it was given, not to its weights."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, residual: Tensor | None, beside: Tensor | None, held: Held
    ) -> Tensor:
        made, slope = held.made(x, residual, beside)
        ctx.held, ctx.slope, ctx.positions = held, slope, x.shape[2]
        ctx.joined = residual is x
        return made.mT

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_output: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        by_x, by_residual = ctx.held.gradients(by_output, ctx.slope, ctx.positions, ctx.joined)
        return by_x, None if ctx.joined or not ctx.needs_input_grad[1] else by_residual, None, None


def _folded(
    norm: torch.fx.Node, static: Static, taps: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The weights and bias of a convolution with the BatchNorm behind it, which is in eval mode."""

    def held(at: int, absent: float) -> Tensor:
        given = norm.args[at]
        return (
            static(given.name) if isinstance(given, torch.fx.Node) else taps.new_full((1,), absent)
        )

    eps = float(argument(norm, 6, "eps", 1e-5))
    scale = held(1, 1.0) * torch.rsqrt(held(4, 1.0) + eps)
    shift = (0.0 if bias is None else bias) - held(3, 0.0)
    return taps * scale, (shift * scale + held(2, 0.0)).expand(taps.shape[2]).contiguous()
