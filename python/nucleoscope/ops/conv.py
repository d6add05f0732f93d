"""A whole layer, channels last, and its way back to the input."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nucleoscope.naive.ops import pack_backward, pack_winograd
from nucleoscope.ops._layer import Back, Layer
from nucleoscope.ops._registration import register

__all__ = ["conv", "conv_backward", "pack_backward", "pack_winograd"]


def conv(
    given: Tensor,  # [N, V, C_in] float32 or float64
    weight: Tensor,  # from pack_weight
    *,
    channels: int,
    stride: int = 1,
    dilation: int = 1,
    pad: int = 0,
    length: int,
    winograd: Tensor | None = None,  # from pack_winograd
    bias: Tensor | None = None,  # [C_out]
    residual: Tensor | None = None,  # [N, L, C_out]
    residual_first: bool = False,
    relu: bool = False,
    beside: Tensor | None = None,  # [1 or N, L, C_out]
) -> tuple[Tensor, Tensor]:  # [N, L, C_out] twice
    """A convolution, the ReLU behind it, and the residual that joins it.

    Channels of a position that are zero in three samples that lie together are skipped, so the weights must
    be finite. Numbers are the same to the bit whatever samples lie beside each other. A linear layer is a
    convolution of one tap. Not differentiable: ``conv_backward`` is its way back.

    Equivalent to::

        y = sum(given[:, o * stride - pad + t * dilation] @ weight[t] for t in taps) + bias
        y = relu(y + residual) if residual_first else relu(y) + residual

    Args:
        given: activations of N samples at V positions.
        weight: what ``pack_weight(weight [K, C_in / G, C_out], groups=G)`` makes.
        channels: C_out.
        stride: inputs from one output to the next.
        dilation: inputs from one tap to the next.
        pad: positions before the input, which are zero; behind it as many as `length` asks for.
        length: L, positions of the output.
        winograd: the same weights at points. Samples of few zeros are then made four outputs at once by Winograd's
            convolution, where the stride is 1 and it saves enough; in float32 that is off by about twice what
            tap by tap is. A sample that is not finite goes tap by tap. None: all do.
        bias: added first; None: none.
        residual: added; None: none.
        residual_first: whether it is added before the ReLU.
        relu: whether there is a ReLU.
        beside: what enters the ReLU at another input, for all samples or one a sample; None: none.

    Returns:
        What is made, and where the ReLU let through (1) and where not (0): uint8; empty without a ReLU. With
        `beside`, in its place, the slope of the ReLU's chord between the two values,
        (relu(a) - relu(b)) / (a - b): where they are the same, whether they are above 0.

    Raises:
        TypeError: a tensor has another dtype.
        ValueError: shapes or devices disagree, or there is `beside` and no ReLU.
    """
    made: tuple[Tensor, Tensor] = torch.ops.nucleoscope.conv.default(
        given, weight, winograd, bias, residual, beside, residual_first, relu,
        [channels, stride, dilation, pad, length],
    )  # fmt: skip
    return made


def conv_backward(
    given: Tensor,  # [N, L, C_out] float32 or float64
    weight: Tensor,  # from pack_backward
    *,
    channels: int,
    taps: int,
    stride: int = 1,
    dilation: int = 1,
    pad: int = 0,
    length: int,
    winograd: Tensor | None = None,  # from pack_winograd
    slope: Tensor | None = None,  # [N, L, C_out]
    residual: Tensor | None = None,  # [N, V, C_in]
) -> Tensor:  # [N, V, C_in]
    """The gradient by a layer's input, of the gradient by its output; nothing for its weights.

    Equivalent to::

        torch.autograd.grad(conv(x, weight, ...), x, given)[0] + residual

    where ``slope`` stands for what lies between the convolution and its output.

    Args:
        given: the gradient by the layer's output.
        weight: what ``pack_backward(weight [K, C_in / G, C_out], groups=G, dilation=dilation)`` makes.
        channels: C_in.
        taps: K.
        stride: as ``conv`` was given it; so are dilation and pad.
        dilation: inputs from one tap to the next.
        pad: positions before the input, which are zero.
        length: V, positions of the input.
        winograd: what ``pack_winograd(weight [K, C_in, C_out], backward=True)`` makes, as for ``conv``.
        slope: what the gradient is multiplied with first: the second result of ``conv``, uint8, or any
            factors in the type of ``given``; None: it is not. Where a byte is 0, a NaN goes as well.
        residual: added, the gradient that comes by another way; None: none.

    Raises:
        TypeError: a tensor has another dtype.
        ValueError: shapes or devices disagree.
    """
    made: Tensor = torch.ops.nucleoscope.conv_backward.default(
        given, weight, winograd, slope, residual, [channels, taps, stride, dilation, pad, length]
    )
    return made


def _fake(given: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    *_, beside, _, relu, (channels, _, _, _, length) = rest
    made = given.new_empty(len(given), length, channels)
    kind = torch.uint8 if beside is None else given.dtype
    return made, given.new_empty(made.shape if relu else 0, dtype=kind)


def _fake_back(given: Tensor, *rest: Any) -> Tensor:
    channels, *_, length = rest[-1]
    return given.new_empty(len(given), length, channels)


def _cpu(*args: Any) -> tuple[Tensor, Tensor]:
    return Layer(*args).compiled()


def _cuda(*args: Any) -> tuple[Tensor, Tensor]:  # torch's own convolution: cuDNN's on a GPU
    return Layer(*args).plain()


register(
    "conv(Tensor given, Tensor weight, Tensor? winograd, Tensor? bias, Tensor? residual, Tensor? beside, "
    "bool residual_first, bool relu, int[] sizes) -> (Tensor, Tensor)",
    fake=_fake, cpu=_cpu, cuda=_cuda, other=_cuda,
)  # fmt: skip
register(
    "conv_backward(Tensor given, Tensor weight, Tensor? winograd, Tensor? slope, Tensor? residual, int[] sizes) "
    "-> Tensor",
    fake=_fake_back,
    cpu=lambda *args: Back(*args).compiled(),
    cuda=lambda *args: Back(*args).plain(),
    other=lambda *args: Back(*args).plain(),
)
