"""Ops that add up: autograd takes multipliers through them as it takes gradients."""

from __future__ import annotations

from nucleoscope.engine.gradients.secants.registry import LINEAR, aten
from nucleoscope.engine.rules.resample import NEAREST

MOVES = (
    aten.view.default, aten._unsafe_view.default, aten.reshape.default, aten.flatten.using_ints,
    aten.squeeze.dim, aten.squeeze.dims, aten.squeeze.default, aten.unsqueeze.default, aten.clone.default,
    aten.contiguous.default, aten.alias.default, aten.dropout.default, aten.unflatten.int,
    aten.lift_fresh_copy.default, aten._to_copy.default, aten.to.dtype, aten.permute.default,
    aten.transpose.int, aten.t.default, aten.movedim.int, aten.movedim.intlist, aten.select.int,
    aten.flip.default, aten.slice.Tensor, aten.roll.default, aten.constant_pad_nd.default, aten.pad.default,
    aten.reflection_pad1d.default, aten.replication_pad1d.default, aten.expand.default,
    aten.repeat.default, aten.unfold.default, aten.diagonal.default, aten.tril.default, aten.triu.default,
    aten.pixel_shuffle.default,
)  # fmt: skip
SUMS = (
    aten.add.Tensor, aten.add.Scalar, aten.sub.Tensor, aten.sub.Scalar, aten.rsub.Scalar,
    aten.rsub.Tensor, aten.neg.default, aten.cat.default, aten.mean.dim, aten.mean.default,
    aten.sum.dim_IntList, aten.sum.default, aten.cumsum.default, aten.avg_pool1d.default,
    aten.avg_pool2d.default, aten.adaptive_avg_pool1d.default, aten.adaptive_avg_pool2d.default,
    aten.upsample_linear1d.vec, aten.upsample_bilinear2d.vec, *NEAREST,
    aten.fft_rfft.default, aten.fft_irfft.default, aten.fft_fft.default, aten.fft_ifft.default,
    aten.mul.Scalar, aten.div.Scalar,
)  # fmt: skip
# Linear in some arguments; what of the others the sequence reaches makes them another op.
PARTLY = {
    (0,): (
        aten._native_batch_norm_legit_no_training.default, aten.gather.default, aten.index_select.default,
        aten.index.Tensor, aten.masked_fill.Scalar, aten.masked_fill.Tensor, aten.repeat_interleave.self_int,
        aten.repeat_interleave.self_Tensor,
    ),
    (1, 2): (aten.where.self, aten.where.ScalarOther, aten.where.ScalarSelf),
}  # fmt: skip

# They look at a shape, and the same comes of whatever is in it.
SHAPES = (
    aten.zeros_like.default, aten.ones_like.default, aten.full_like.default, aten.new_zeros.default,
    aten.new_ones.default, aten.new_full.default,
)  # fmt: skip

LINEAR.update(dict.fromkeys((*MOVES, *SUMS, *SHAPES)))
for arguments, ops in PARTLY.items():
    LINEAR.update(dict.fromkeys(ops, arguments))
