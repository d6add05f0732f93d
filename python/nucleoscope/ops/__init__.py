"""The ops of the engine and of attention. One op, one file: its contract, its checks, its registration.

Each is also ``torch.ops.nucleoscope.<op>``, and goes by device: CPU to C++, CUDA to Triton, any
other to ``nucleoscope.naive.ops``, which defines what it means.
"""

from nucleoscope.naive.ops import (
    Kept,
    Letters,
    Link,
    Original,
    Rows,
    Scores,
    Statistics,
    change_of,
    logits,
    normal_cdf,
)
from nucleoscope.ops.attention_apply import attention_apply
from nucleoscope.ops.attention_lse import attention_lse
from nucleoscope.ops.attention_mean import attention_mean
from nucleoscope.ops.attention_relevance import attention_relevance
from nucleoscope.ops.attention_statistics import attention_statistics
from nucleoscope.ops.conv import conv, conv_backward, pack_backward, pack_winograd
from nucleoscope.ops.delta_chain import delta_chain
from nucleoscope.ops.delta_concat import delta_concat
from nucleoscope.ops.delta_conv import delta_conv, has_bf16, pack_weight, to_bf16, to_tf32
from nucleoscope.ops.delta_layer_norm import delta_layer_norm
from nucleoscope.ops.delta_max_pool import delta_max_pool
from nucleoscope.ops.delta_pointwise import delta_pointwise
from nucleoscope.ops.delta_product import delta_product
from nucleoscope.ops.delta_softmax_pool import delta_softmax_pool
from nucleoscope.ops.delta_sum import delta_sum
from nucleoscope.ops.dinucleotide_shuffle import dinucleotide_shuffle
from nucleoscope.ops.edit_lookup import edit_lookup

__all__ = [
    "Kept",
    "Letters",
    "Link",
    "Original",
    "Rows",
    "Scores",
    "Statistics",
    "attention_apply",
    "attention_lse",
    "attention_mean",
    "attention_relevance",
    "attention_statistics",
    "change_of",
    "conv",
    "conv_backward",
    "delta_chain",
    "delta_concat",
    "delta_conv",
    "delta_layer_norm",
    "delta_max_pool",
    "delta_pointwise",
    "delta_product",
    "delta_softmax_pool",
    "delta_sum",
    "dinucleotide_shuffle",
    "edit_lookup",
    "has_bf16",
    "logits",
    "normal_cdf",
    "pack_backward",
    "pack_weight",
    "pack_winograd",
    "to_bf16",
    "to_tf32",
]
