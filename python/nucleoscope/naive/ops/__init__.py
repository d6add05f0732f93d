"""The meaning of each op: same name, same arguments and same result as in ``nucleoscope.ops``."""

from nucleoscope.naive.ops._links import Kept, Letters, Link
from nucleoscope.naive.ops._rows import Original, Rows
from nucleoscope.naive.ops._scores import Scores, logits
from nucleoscope.naive.ops._winograd import pack_winograd
from nucleoscope.naive.ops.attention_apply import attention_apply
from nucleoscope.naive.ops.attention_lse import attention_lse
from nucleoscope.naive.ops.attention_mean import attention_mean
from nucleoscope.naive.ops.attention_relevance import attention_relevance
from nucleoscope.naive.ops.attention_statistics import Statistics, attention_statistics
from nucleoscope.naive.ops.conv import conv, conv_backward, pack_backward
from nucleoscope.naive.ops.delta_chain import delta_chain
from nucleoscope.naive.ops.delta_concat import delta_concat
from nucleoscope.naive.ops.delta_conv import delta_conv, pack_weight, to_bf16, to_tf32
from nucleoscope.naive.ops.delta_layer_norm import delta_layer_norm
from nucleoscope.naive.ops.delta_max_pool import delta_max_pool
from nucleoscope.naive.ops.delta_pointwise import change_of, delta_pointwise, normal_cdf
from nucleoscope.naive.ops.delta_product import delta_product
from nucleoscope.naive.ops.delta_softmax_pool import delta_softmax_pool
from nucleoscope.naive.ops.delta_sum import delta_sum
from nucleoscope.naive.ops.dinucleotide_shuffle import dinucleotide_shuffle
from nucleoscope.naive.ops.edit_lookup import edit_lookup

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
    "logits",
    "normal_cdf",
    "pack_backward",
    "pack_weight",
    "pack_winograd",
    "to_bf16",
    "to_tf32",
]
