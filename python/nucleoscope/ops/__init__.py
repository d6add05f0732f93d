"""The engine's ops. One op, one file: its contract, its checks, its registration with torch.

Each is also ``torch.ops.nucleoscope.<op>``, and goes by device: CPU to C++, CUDA to Triton, any
other to ``nucleoscope.naive.ops``, which defines what it means.
"""

from nucleoscope.naive.ops import Kept, Letters, Link, Original, Rows
from nucleoscope.ops.delta_chain import delta_chain
from nucleoscope.ops.delta_conv import delta_conv, has_bf16, pack_weight, to_bf16
from nucleoscope.ops.delta_layer_norm import delta_layer_norm
from nucleoscope.ops.delta_max_pool import delta_max_pool
from nucleoscope.ops.delta_relu import delta_relu
from nucleoscope.ops.delta_softmax_pool import delta_softmax_pool
from nucleoscope.ops.delta_sum import delta_sum
from nucleoscope.ops.edit_lookup import edit_lookup

__all__ = [
    "Kept",
    "Letters",
    "Link",
    "Original",
    "Rows",
    "delta_chain",
    "delta_conv",
    "delta_layer_norm",
    "delta_max_pool",
    "delta_relu",
    "delta_softmax_pool",
    "delta_sum",
    "edit_lookup",
    "has_bf16",
    "pack_weight",
    "to_bf16",
]
