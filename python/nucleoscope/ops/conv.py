"""A whole layer, channels last, and its way back to the input."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nucleoscope.naive import ops as naive
from nucleoscope.naive.ops import pack_backward
from nucleoscope.ops import _rows
from nucleoscope.ops._arguments import Arguments
from nucleoscope.ops._extension import _C
from nucleoscope.ops._packed import parts, takes
from nucleoscope.ops._registration import register

__all__ = ["conv", "conv_backward", "pack_backward"]

_COMPILED = {torch.float32: _C.conv_float32, torch.float64: _C.conv_float64}
_FLOATS = (torch.float32, torch.float64)


def conv(
    given: Tensor,  # [N, V, C_in] float32 or float64
    weight: Tensor,  # from pack_weight
    *,
    channels: int,
    stride: int = 1,
    dilation: int = 1,
    pad: int = 0,
    length: int,
    bias: Tensor | None = None,  # [C_out]
    residual: Tensor | None = None,  # [N, L, C_out]
    residual_first: bool = False,
    relu: bool = False,
    beside: Tensor | None = None,  # [1 or N, L, C_out]
) -> tuple[Tensor, Tensor]:  # [N, L, C_out] twice
    """A convolution, the ReLU behind it, and the residual that joins it.

    Channels of a position that are zero in three samples that lie together are skipped, so the weights must
    be finite. The sums are the same to the bit whatever samples lie beside each other. A linear layer is a
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
        given, weight, bias, residual, beside, residual_first, relu,
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
        slope: what the gradient is multiplied with first: the second result of ``conv``, uint8, or any
            factors in the type of ``given``; None: it is not. Where a byte is 0, a NaN goes as well.
        residual: added, the gradient that comes by another way; None: none.

    Raises:
        TypeError: a tensor has another dtype.
        ValueError: shapes or devices disagree.
    """
    made: Tensor = torch.ops.nucleoscope.conv_backward.default(
        given, weight, slope, residual, [channels, taps, stride, dilation, pad, length]
    )
    return made


class _Layer:
    """One call of `conv`, checked."""

    def __init__(
        self, given: Tensor, weight: Tensor, bias: Tensor | None, residual: Tensor | None,
        beside: Tensor | None, residual_first: bool, relu: bool, sizes: list[int],
    ) -> None:  # fmt: skip
        self.given, self.weight, self.bias, self.residual = given, weight, bias, residual
        self.beside, self.residual_first, self.relu = beside, residual_first, relu
        self.channels, self.stride, self.dilation, self.pad, self.length = sizes
        arguments = Arguments("conv")
        arguments.read("given", given, "NVI", *_FLOATS)
        _check_steps("conv", self.stride, self.dilation, self.length)
        _check_weight(arguments, weight, given, self.channels, "pack_weight", wanted=self.channels)
        for name, held, axes in (("bias", bias, "O"), ("residual", residual, "NLO")):
            if held is not None:
                arguments.read(name, held, axes, given.dtype)
                wanted = (self.length, self.channels)[-held.ndim + 1 :]
                _check_shape("conv", name, held, (*held.shape[:-2], *wanted)[-held.ndim :])
        if beside is not None:
            arguments.read("beside", beside, ".LO", given.dtype)
            many = 1 if len(beside) == 1 else len(given)
            _check_shape("conv", "beside", beside, (many, self.length, self.channels))
            if not relu:
                raise ValueError("conv: beside is what enters a ReLU: give it with relu=True")

    def compiled(self) -> tuple[Tensor, Tensor]:
        given, weight = _rows.dense(self.given, self.weight)
        many, wide, channels_in = given.shape
        made = given.new_empty(many, self.length, self.channels)
        kind = torch.uint8 if self.beside is None else given.dtype
        slope = given.new_empty(made.shape if self.relu else 0, dtype=kind)
        groups, taps = parts(weight, channels_in)
        bias, residual, beside = (_dense(each) for each in (self.bias, self.residual, self.beside))
        at_slope = slope.data_ptr() if self.relu else 0
        _COMPILED[given.dtype](
            [given.data_ptr(), 0, 0, weight.data_ptr(), *map(_address, (bias, residual, beside))],
            [made.data_ptr(), *((at_slope, 0) if beside is None else (0, at_slope))],
            [many, wide, self.length, channels_in, self.channels, groups, taps,
             self.stride, self.dilation, self.pad],
            [self.residual_first, self.relu, False, False, beside is not None and len(beside) > 1],
            torch.get_num_threads(),
        )  # fmt: skip
        return made, slope

    def plain(self) -> tuple[Tensor, Tensor]:
        return naive.conv(
            self.given, self.weight, channels=self.channels, stride=self.stride, pad=self.pad,
            dilation=self.dilation, length=self.length, bias=self.bias, residual=self.residual,
            residual_first=self.residual_first, relu=self.relu, beside=self.beside,
        )  # fmt: skip


class _Back:
    """One call of `conv_backward`, checked."""

    def __init__(
        self, given: Tensor, weight: Tensor, slope: Tensor | None, residual: Tensor | None,
        sizes: list[int],
    ) -> None:  # fmt: skip
        self.given, self.weight, self.slope, self.residual = given, weight, slope, residual
        self.channels, self.taps, self.stride, self.dilation, self.pad, self.length = sizes
        arguments = Arguments("conv_backward")
        arguments.read("given", given, "NLO", *_FLOATS)
        _check_steps("conv_backward", self.stride, self.dilation, self.length)
        self.spread = weight.ndim == 5 and weight.shape[2] == 1 < self.taps
        made = self.taps * self.channels if self.spread else self.channels
        _check_weight(arguments, weight, given, made, "pack_backward", wanted=self.channels)
        if not self.spread and self.taps != parts(weight, given.shape[2])[1]:
            raise ValueError(
                f"conv_backward: taps={self.taps}, but weight {list(weight.shape)} was packed of others"
            )
        if self.spread and self.dilation > 1:
            raise ValueError(
                "conv_backward: weight was packed for dilation 1: pack_backward(weight, dilation="
                f"{self.dilation})"
            )
        if slope is not None:
            arguments.read("slope", slope, "NLO", torch.uint8, given.dtype)
        if residual is not None:
            arguments.read("residual", residual, "NVI", given.dtype)
            wanted = (len(given), self.length, self.channels)
            _check_shape("conv_backward", "residual", residual, wanted)

    def compiled(self) -> Tensor:
        given, weight = _rows.dense(self.given, self.weight)
        many, wide, channels_in = given.shape
        made = given.new_empty(many, self.length, self.channels)
        slope, residual = (_dense(each) for each in (self.slope, self.residual))
        gated = slope is not None and slope.dtype == torch.uint8
        at_slope = _address(slope)
        _COMPILED[given.dtype](
            [given.data_ptr(), at_slope if gated else 0, 0 if gated else at_slope,
             weight.data_ptr(), 0, _address(residual), 0],
            [made.data_ptr(), 0, 0],
            [many, wide, self.length, channels_in, self.channels, parts(weight, channels_in)[0],
             self.taps, self.stride, self.dilation, self.pad],
            [False, False, True, self.spread, False],
            torch.get_num_threads(),
        )  # fmt: skip
        return made

    def plain(self) -> Tensor:
        return naive.conv_backward(
            self.given, self.weight, channels=self.channels, taps=self.taps, stride=self.stride,
            dilation=self.dilation, pad=self.pad, length=self.length, slope=self.slope,
            residual=self.residual,
        )  # fmt: skip


def _check_steps(op: str, stride: int, dilation: int, length: int) -> None:
    if min(stride, dilation) < 1:
        raise ValueError(f"{op}: stride={stride} and dilation={dilation} must be at least 1")
    if length < 1:
        raise ValueError(f"{op}: length={length} must be at least 1")


def _check_weight(
    arguments: Arguments, weight: Tensor, given: Tensor, channels: int, packer: str, wanted: int
) -> None:
    axes = "KO" if weight.ndim == 2 else "GJKI" if weight.ndim == 4 else "GBKIJ"
    fresh = Arguments(arguments.op)  # its letters are other axes
    fresh.read("given", given, "NVC", given.dtype)
    fresh.read("weight", weight, axes, given.dtype)
    if not takes(weight, given.shape[2], channels):
        raise ValueError(
            f"{arguments.op}: weight {list(weight.shape)} does not take {given.shape[2]} channels to "
            f"{wanted}: make it with {packer}(weight [K, C_in / G, C_out], G)"
        )


def _check_shape(op: str, name: str, held: Tensor, wanted: tuple[int, ...]) -> None:
    if tuple(held.shape) != wanted:
        raise ValueError(f"{op}: {name} has shape {list(held.shape)}, must have {list(wanted)}")


def _dense(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _fake(given: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    *_, beside, _, relu, (channels, _, _, _, length) = rest
    made = given.new_empty(len(given), length, channels)
    kind = torch.uint8 if beside is None else given.dtype
    return made, given.new_empty(made.shape if relu else 0, dtype=kind)


def _fake_back(given: Tensor, *rest: Any) -> Tensor:
    channels, *_, length = rest[-1]
    return given.new_empty(len(given), length, channels)


def _cpu(*args: Any) -> tuple[Tensor, Tensor]:
    return _Layer(*args).compiled()


def _cuda(*args: Any) -> tuple[Tensor, Tensor]:  # torch's own convolution: cuDNN's on a GPU
    return _Layer(*args).plain()


register(
    "conv(Tensor given, Tensor weight, Tensor? bias, Tensor? residual, Tensor? beside, bool residual_first, "
    "bool relu, int[] sizes) -> (Tensor, Tensor)",
    fake=_fake, cpu=_cpu, cuda=_cuda, other=_cuda,
)  # fmt: skip
register(
    "conv_backward(Tensor given, Tensor weight, Tensor? slope, Tensor? residual, int[] sizes) -> Tensor",
    fake=_fake_back,
    cpu=lambda *args: _Back(*args).compiled(),
    cuda=lambda *args: _Back(*args).plain(),
    other=lambda *args: _Back(*args).plain(),
)
