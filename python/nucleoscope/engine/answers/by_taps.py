"""float64 convolutions tap by tap.

On a CPU torch writes the input of a float64 convolution out once a tap and multiplies that: narrow layers wait for
memory, at a fifth of the products' own speed, and the judge of a verification takes longer than what it judges.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

# Channels from which on it pays. Measured: 4 to 300 channels took ten times as long, 32 to 32 a fifth.
LEAST = 16


def by_taps(model: nn.Module) -> nn.Module:
    """The model, whose plain `nn.Conv1d` layers give the same numbers in float64 faster, without gradients."""
    for layer in model.modules():
        own = "_conv_forward" in vars(layer)
        if type(layer) is nn.Conv1d and not own and _plain(layer):
            layer._conv_forward = partial(_forward, layer)  # type: ignore[method-assign]
    return model


def _plain(layer: nn.Conv1d) -> bool:
    zeros = layer.padding_mode == "zeros"
    return zeros and layer.groups == 1 and layer.stride == (1,) and layer.in_channels >= LEAST


def _forward(layer: nn.Conv1d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    dilation, reach = layer.dilation[0], (weight.shape[2] - 1) * layer.dilation[0]
    named = {"valid": 0, "same": reach}
    told = layer.padding
    pads = named[told] if isinstance(told, str) else 2 * told[0]
    length = x.shape[-1] + pads - reach
    like = x.dtype == weight.dtype == torch.float64 and x.device.type == "cpu"
    if not like or x.ndim != 3 or length < 1 or torch.is_grad_enabled():
        made: Tensor = nn.Conv1d._conv_forward(layer, x, weight, bias)
        return made
    return conv1d_by_taps(x, weight, bias, pads // 2, dilation, length)


def conv1d_by_taps(
    x: Tensor, weight: Tensor, bias: Tensor | None, left: int, dilation: int, length: int
) -> Tensor:
    """x [N, C, L], weight [O, C, K], bias [O] -> [N, O, length], with `left` zeros ahead of x.

    Equivalent to::

        F.conv1d(F.pad(x, (left, right)), weight, bias, dilation=dilation)
    """
    made = x.new_zeros(len(x), len(weight), length)
    if bias is not None:
        made += bias[:, None]
    for tap, of_tap in enumerate(weight.permute(2, 0, 1).contiguous()):
        shift = tap * dilation - left
        first, last = max(0, -shift), min(length, x.shape[2] - shift)
        for row, given in zip(made, x, strict=True):
            if first < last:
                row[:, first:last].addmm_(of_tap, given[:, first + shift : last + shift])
    return made
