"""Convolutions of originals as our own op.

In float64 torch's lays out every tap's input, and takes up to six times as long. In float32 ours adds short
sums up, which keeps what a sum of thousands of products loses; part of that is spent on Winograd's convolution.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import torch
from torch import Tensor

from nucleoscope.ops import conv, pack_weight, pack_winograd

FEW = 4  # channels out: of fewer most of the op's columns would be empty


def takes(target: Any, args: Sequence[Any], kinds: Container[torch.dtype]) -> bool:
    """Whether an op on these values is a convolution that the op makes, in one of these number types."""
    if target is not torch.ops.aten.conv1d.default:
        return False
    given, weight = args[:2]
    if torch.is_grad_enabled() and (given.requires_grad or weight.requires_grad):
        return False  # the op has no gradient of torch's
    plain = given.ndim == 3 and given.dtype == weight.dtype and given.dtype in kinds
    return bool(plain and given.device.type == "cpu" and len(weight) >= FEW and given.numel())


def packed(weight: Tensor, groups: int = 1) -> tuple[Tensor, Tensor | None]:
    """A convolution's weight [C_out, C_in / G, K] as the op takes it: tap by tap, and at points."""
    taps = weight.permute(2, 1, 0).contiguous()
    return pack_weight(taps, groups), pack_winograd(taps, groups)


class OwnConv:
    """Such convolutions, with the weights of a model packed once."""

    def __init__(self) -> None:
        self._packed: dict[tuple[int, int], tuple[Tensor, tuple[Tensor, Tensor | None]]] = {}

    def __call__(
        self,
        given: Tensor,  # [N, C_in, L] float32 or float64
        weight: Tensor,  # [C_out, C_in / G, K]
        bias: Tensor | None = None,
        stride: Sequence[int] = (1,),
        padding: Sequence[int] = (0,),
        dilation: Sequence[int] = (1,),
        groups: int = 1,
    ) -> Tensor:  # [N, C_out, L'], its channels side by side in memory
        """What torch's conv1d gives.

        Equivalent to::

            torch.nn.functional.conv1d(given, weight, bias, stride, padding, dilation, groups)
        """
        (step,), (pad,), (apart,) = stride, padding, dilation
        length = (given.shape[2] + 2 * pad - (weight.shape[2] - 1) * apart - 1) // step + 1
        by_tap, at_points = self._of(weight, groups)
        made, _ = conv(
            given.transpose(1, 2), by_tap, channels=len(weight), stride=step, dilation=apart, pad=pad,
            length=length, winograd=at_points, bias=bias,
        )  # fmt: skip
        return made.transpose(1, 2)

    def _of(self, weight: Tensor, groups: int) -> tuple[Tensor, Tensor | None]:
        key = (id(weight), groups)
        held = self._packed.get(key)
        if held is None:  # the weight is held beside it, so that no other can come to its id
            held = self._packed[key] = (weight, packed(weight, groups))
        return held[1]
