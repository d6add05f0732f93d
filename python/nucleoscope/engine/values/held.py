"""A layer with its weights, forward and back to what it was given: two compiled ops, channels last."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nucleoscope.engine.graph import Static
from nucleoscope.engine.rules.registry import argument
from nucleoscope.engine.values.joined import folded
from nucleoscope.engine.values.layers import Layer
from nucleoscope.engine.values.placed import ALL, Placed
from nucleoscope.ops import conv, conv_backward, pack_backward, pack_weight, pack_winograd


class Held:
    """A layer with its weights packed, as a function that autograd can follow."""

    def __init__(self, layer: Layer, static: Static) -> None:
        node, self.layer = layer.conv, layer
        weight: Any = node.args[1]
        bias: Any = argument(node, 2, "bias", None)
        taps = static(weight.name).permute(2, 1, 0).contiguous()  # [K, C_in / G, C_out]
        self.bias = None if bias is None else static(bias.name)
        if layer.norm is not None:
            taps, self.bias = folded(layer.norm, static, taps, self.bias)
        self.taps, self.wide, self.channels = taps.shape
        self.groups = layer.groups
        self.here = layer.whole
        self._pack(taps)

    def _pack(self, taps: Tensor) -> None:
        self.weight = pack_weight(taps, self.groups)
        self.back = pack_backward(taps, self.groups, self.here.dilation)
        self.at_points = pack_winograd(taps, self.groups)
        self.back_at_points = pack_winograd(taps, self.groups, backward=True)

    def at(self, here: Placed) -> Held:
        """The same, weights shared, where it makes some positions."""
        made = copy.copy(self)
        made.here = here
        return made

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
        return self._conv(*self._there(x, joins), relu=False)[0].mT

    def _there(self, x: Tensor, residual: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """What it reads of both."""
        joins = None if residual is None else residual[:, :, self.here.joined]
        return x[:, :, self.here.read], joins

    @property
    def steps(self) -> dict[str, int]:
        here = self.here
        return {"stride": here.stride, "dilation": here.dilation, "pad": here.before}

    def made(
        self, x: Tensor, residual: Tensor | None, beside: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The same, and the slope of its ReLU; both [N, L, C_out]."""
        return self._conv(*self._there(x, residual), beside, relu=self.layer.relu)

    def _conv(
        self, x: Tensor, residual: Tensor | None, beside: Tensor | None = None, *, relu: bool
    ) -> tuple[Tensor, Tensor]:
        return conv(
            x.mT, self.weight, channels=self.channels, **self.steps, length=self.here.length,
            winograd=self.at_points, bias=self.bias,
            residual=None if residual is None else residual.mT, relu=relu,
            residual_first=self.layer.residual_first,
            beside=None if beside is None else beside.mT,
        )  # fmt: skip

    def gradients(
        self, by_output: Tensor, slope: Tensor, positions: int, joined: bool, beside: int
    ) -> tuple[Tensor, Tensor | None]:
        """The gradients by x, which has so many positions, and by the residual, of so many `beside` it.

        Where the residual is x (`joined`), that by x holds both.
        """
        given = by_output.mT.contiguous()
        by_residual = given
        if self.layer.relu and self.layer.residual_first:
            bytes_ = slope.dtype == torch.uint8
            by_residual = torch.where(slope != 0, given, 0.0) if bytes_ else given * slope
        here, masked = self.here, slope if self.layer.relu else None
        at_once = joined and here.read == here.joined == ALL
        by_x = self._back(given, here.count(positions), masked, by_residual if at_once else None)
        by_x = _laid(by_x, here.read, positions)
        if joined and not at_once:
            by_x[:, here.joined] += by_residual
        return by_x.mT, _laid(by_residual, here.joined, beside).mT if beside else None

    def back_through(self, by_z: Tensor, positions: int) -> Tensor:
        """Gradients by what enters its ReLU [N, L, C_out] -> by x [N, C_in, V], of a layer without a residual."""
        by_x = self._back(by_z.contiguous(), self.here.count(positions), None, None)
        return _laid(by_x, self.here.read, positions).mT

    def _back(
        self, given: Tensor, positions: int, slope: Tensor | None, residual: Tensor | None
    ) -> Tensor:
        return conv_backward(
            given, self.back, channels=self.wide * self.groups, taps=self.taps, **self.steps,
            length=positions, winograd=self.back_at_points, slope=slope, residual=residual,
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
        ctx.joins = 0 if residual is None else residual.shape[2]
        return made.mT

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_output: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        beside = ctx.joins if ctx.needs_input_grad[1] and not ctx.joined else 0
        made = ctx.held.gradients(by_output, ctx.slope, ctx.positions, ctx.joined, beside)
        return *made, None, None


def _laid(made: Tensor, at: slice, positions: int) -> Tensor:
    """[N, V', C] at some of so many positions; 0 at the others."""
    if at == ALL:
        return made
    laid = made.new_zeros(len(made), positions, made.shape[2])
    laid[:, at] = made
    return laid
