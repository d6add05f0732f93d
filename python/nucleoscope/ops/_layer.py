"""A call of ``conv`` or of ``conv_backward``: its arguments checked, handed over, or put to the definition."""

from __future__ import annotations

import torch
from torch import Tensor

from nucleoscope.naive import ops as naive
from nucleoscope.ops import _rows
from nucleoscope.ops._arguments import Arguments
from nucleoscope.ops._extension import _C
from nucleoscope.ops._packed import parts, takes

_COMPILED = {torch.float32: _C.conv_float32, torch.float64: _C.conv_float64}
_FLOATS = (torch.float32, torch.float64)


class Layer:
    """One call of `conv`, checked."""

    def __init__(
        self, given: Tensor, weight: Tensor, winograd: Tensor | None, bias: Tensor | None,
        residual: Tensor | None, beside: Tensor | None, residual_first: bool, relu: bool, sizes: list[int],
    ) -> None:  # fmt: skip
        self.given, self.weight, self.bias, self.residual = given, weight, bias, residual
        self.winograd, self.beside, self.residual_first, self.relu = (
            winograd,
            beside,
            residual_first,
            relu,
        )
        self.channels, self.stride, self.dilation, self.pad, self.length = sizes
        arguments = Arguments("conv")
        arguments.read("given", given, "NVI", *_FLOATS)
        _check_steps("conv", self.stride, self.dilation, self.length)
        _check_weight(arguments, weight, given, self.channels, "pack_weight", wanted=self.channels)
        if winograd is not None:
            _check_winograd(
                arguments, winograd, given, parts(weight, given.shape[2]), self.channels
            )
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
        winograd, bias, residual, beside = (
            _dense(each) for each in (self.winograd, self.bias, self.residual, self.beside)
        )
        at_slope = slope.data_ptr() if self.relu else 0
        _COMPILED[given.dtype](
            [given.data_ptr(), 0, 0, weight.data_ptr(),
             *map(_address, (winograd, bias, residual, beside))],
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


class Back:
    """One call of `conv_backward`, checked."""

    def __init__(
        self, given: Tensor, weight: Tensor, winograd: Tensor | None, slope: Tensor | None,
        residual: Tensor | None, sizes: list[int],
    ) -> None:  # fmt: skip
        self.given, self.weight, self.slope, self.residual = given, weight, slope, residual
        self.winograd = winograd
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
        if winograd is not None:
            of = (parts(weight, given.shape[2])[0], self.taps)
            _check_winograd(arguments, winograd, given, of, self.channels)
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
        winograd, slope, residual = (
            _dense(each) for each in (self.winograd, self.slope, self.residual)
        )
        gated = slope is not None and slope.dtype == torch.uint8
        at_slope = _address(slope)
        _COMPILED[given.dtype](
            [given.data_ptr(), at_slope if gated else 0, 0 if gated else at_slope,
             weight.data_ptr(), _address(winograd), 0, _address(residual), 0],
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


def _check_winograd(
    arguments: Arguments, winograd: Tensor, given: Tensor, of: tuple[int, int], channels: int
) -> None:
    Arguments(arguments.op).read("winograd", winograd, "PBTIJ", given.dtype)
    groups, taps = of
    each = min(taps, 4)
    wanted = (each + 3, -(-channels // 16), -(-taps // each), given.shape[2], 16)
    if groups > 1 or taps < 3 or tuple(winograd.shape) != wanted:
        raise ValueError(
            f"{arguments.op}: winograd {list(winograd.shape)} is not of {taps} taps from {given.shape[2]} "
            f"channels to {channels} in {groups} groups: make it with pack_winograd of the same weight"
        )


def _check_shape(op: str, name: str, held: Tensor, wanted: tuple[int, ...]) -> None:
    if tuple(held.shape) != wanted:
        raise ValueError(f"{op}: {name} has shape {list(held.shape)}, must have {list(wanted)}")


def _dense(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()
