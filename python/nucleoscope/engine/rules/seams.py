"""Ops that end locality by what they are, each with the reason a plan gives."""

from __future__ import annotations

from typing import Any

from nucleoscope.engine.rules.registry import aten

_RECURRENT = "a recurrent layer hands its state from each position to the next"
_ATTENTION = "attention looks at all positions"
_NORM = "it normalises by a mean and a variance over the length"
_FFT = "a Fourier transform mixes all positions; the same filter as a conv1d would stay local"
_STEP = "its answer jumps, and no delta tells on which side of the jump an edited value is"
_SORT = "it puts numbers in the order of their sizes, which an edit changes"

SEAMS: dict[Any, str] = {
    **dict.fromkeys(
        (
            aten.lstm.input, aten.gru.input, aten.rnn_tanh.input, aten.rnn_relu.input,
            aten.lstm.data, aten.gru.data,
        ),
        _RECURRENT,
    ),
    **dict.fromkeys(
        (
            aten.scaled_dot_product_attention.default, aten._native_multi_head_attention.default,
            aten._transformer_encoder_layer_fwd.default,
        ),
        _ATTENTION,
    ),
    **dict.fromkeys(
        (aten.group_norm.default, aten.instance_norm.default, aten.native_group_norm.default), _NORM
    ),
    **dict.fromkeys(
        (
            aten.fft_rfft.default, aten.fft_irfft.default, aten.fft_fft.default, aten.fft_ifft.default,
            aten.fft_fftn.default, aten.fft_rfftn.default, aten.fft_hfft.default, aten.stft.default,
        ),
        _FFT,
    ),
    **dict.fromkeys(
        (
            aten.gt.Scalar, aten.ge.Scalar, aten.lt.Scalar, aten.le.Scalar, aten.eq.Scalar,
            aten.ne.Scalar, aten.gt.Tensor, aten.ge.Tensor, aten.lt.Tensor, aten.le.Tensor,
            aten.eq.Tensor, aten.ne.Tensor, aten.sign.default, aten.round.default, aten.floor.default,
            aten.ceil.default, aten.trunc.default, aten.floor_divide.default, aten.remainder.Scalar,
            aten.argmin.default,
        ),
        _STEP,
    ),
    **dict.fromkeys(
        (
            aten.sort.default, aten.topk.default, aten.median.dim, aten.argsort.default,
            aten.kthvalue.default, aten.cummax.default, aten.cummin.default,
        ),
        _SORT,
    ),
    aten.matmul.default: "a matrix product of two values that depend on the input",
    aten.bmm.default: "a matrix product of two values that depend on the input",
    aten.baddbmm.default: "a matrix product of two values that depend on the input",
    aten.einsum.default: "an einsum that is no linear layer, and no product and sum, of an edited value",
    aten.roll.default: "it carries the end of the sequence to its beginning",
    aten.unfold.default: "it lays out overlapping windows of the length",
    aten.cumprod.default: "a running product: one factor changes all that follow in proportion",
    aten.logcumsumexp.default: "a running logarithm of sums",
    aten.prod.dim_int: "a product of all values along an axis",
    aten.one_hot.default: "letters as token numbers, which something other than an embedding reads",
}  # fmt: skip
