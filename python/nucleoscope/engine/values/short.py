"""Layers whose products are of bfloat16, by torch's own convolution; all else of them stays float32."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_input

from nucleoscope.engine.graph import Static
from nucleoscope.engine.values.held import Held
from nucleoscope.engine.values.layers import Layer

WIDE = 128  # channels on either side of a group: with fewer, float32 that skips zeros is as fast
LAST = torch.channels_last


class Short(Held):
    """A layer of values in float32, rounded to bfloat16 as they enter a product, forward and back.

    Torch multiplies bfloat16 at twice the rate of float32 where a processor has AVX512_BF16, if the channels of a
    position lie side by side, and that it is told of images alone: the length is a picture's width.
    """

    def _pack(self, taps: Tensor) -> None:
        self.weight = taps.permute(2, 1, 0).unsqueeze(2).to(torch.bfloat16, memory_format=LAST)

    def _conv(
        self, x: Tensor, residual: Tensor | None, beside: Tensor | None = None, *, relu: bool
    ) -> tuple[Tensor, Tensor]:
        assert beside is None  # a chord is of float32
        given = self._padded(x).unsqueeze(2).to(torch.bfloat16, memory_format=LAST)
        products = F.conv2d(given, self.weight, None, *self._of_a_picture).squeeze(2).mT
        made = products.float() if self.bias is None else products + self.bias
        joins = None if residual is None else residual.mT
        if joins is not None and self.layer.residual_first:
            made += joins
        slope = (made > 0).to(torch.uint8) if relu else made.new_empty(0, dtype=torch.uint8)
        if relu:
            made.relu_()
        if joins is not None and not self.layer.residual_first:
            made += joins
        return made, slope

    def _back(
        self, given: Tensor, positions: int, slope: Tensor | None, residual: Tensor | None
    ) -> Tensor:
        passed = given if slope is None else given * slope
        by_output = passed.mT.unsqueeze(2).to(torch.bfloat16, memory_format=LAST)
        before, behind = self._apart
        shape = (len(given), self.wide * self.groups, 1, before + positions + behind)
        by_x = conv2d_input(shape, self.weight, by_output, *self._of_a_picture).squeeze(2).mT
        by_x = by_x[:, before : before + positions]
        found: Tensor = by_x.float() if residual is None else by_x + residual
        return found

    @property
    def _apart(self) -> tuple[int, int]:
        """The zeros at either end where those at the other are not as many: torch's op pads alike."""
        here = self.here
        return (0, 0) if here.before == here.behind else (here.before, here.behind)

    def _padded(self, x: Tensor) -> Tensor:
        return F.pad(x, self._apart) if any(self._apart) else x

    @property
    def _of_a_picture(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int], int]:
        here = self.here
        pad = 0 if any(self._apart) else here.before
        return (1, here.stride), (0, pad), (1, here.dilation), self.groups


def held(layer: Layer, static: Static, *, short: bool) -> Held:
    """A layer with its weights; where it is wide enough and `short`, with products of bfloat16."""
    out, wide, _ = layer.conv.args[1].meta["val"].shape  # type: ignore[union-attr]
    groups = layer.groups
    return (Short if short and min(wide, out // groups) >= WIDE else Held)(layer, static)
