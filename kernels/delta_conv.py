"""Convolution of a delta, with the ReLU and the residual behind it: see ``nucleoscope.ops.delta_conv``.

A program makes one relative output row of some pairs of a site and an edit, in some channels. So all its
rows have nearly the same live taps: it runs through those that any of its sites has an input row for, and
reads nothing for the sites that have none.
"""

from typing import Any

import torch
from torch import Tensor

from ._few import launch_few
from ._matrix import launch_matrix
from ._rows import coded


def delta_conv(
    given: Tensor,  # [V, S, E, C_in] contiguous, as all others
    rows_in: Any,  # Rows: starts [P, S], and P widths
    weight: Tensor,  # [G, K, C_out / G, padded C_in / G], pairs of bfloat16 of that, or [K, C_out]
    rows_out: Any,
    out: Tensor,  # [W, S, E, C_out], written in full
    *,
    channels: int,
    stride: int = 1,
    dilation: int = 1,
    pad: int = 0,
    length: int,
    original: Any = None,  # Original: values [N, L, C_out], sequence [S], first
    residual: Tensor | None = None,  # [R, S, E, C_out]
    beside: Any = None,
    residual_first: bool = False,
    precision: str = "fp32",
) -> None:
    """Launch the convolution on the arguments' device. Arguments must have been checked.

    ``precision``: "fp32" (three products of TF32), "tf32" or "bf16"; float64 deltas are multiplied as such.
    """
    if out.numel() == 0:
        return
    window, sites, edits, _ = out.shape
    values, sequence, first = (None, None, 0) if original is None else original
    starts, widths = (None, ()) if beside is None else beside
    common = {
        "given_ptr": given, "in_starts_ptr": rows_in[0], "in_widths": coded(rows_in[1]), "out_ptr": out,
        "out_starts_ptr": rows_out[0], "out_widths": coded(rows_out[1]), "values_ptr": values,
        "sequence_ptr": sequence, "first": first, "kept": 1 if values is None else values.shape[1],
        "residual_ptr": residual, "starts_ptr": starts, "widths": coded(widths), "sites": sites,
        "edits": edits, "pairs": sites * edits, "window": window, "stride": stride,
        "dilation": dilation, "pad": pad, "length": length, "IN": len(rows_in[1]),
        "OUT": len(rows_out[1]), "BESIDE": len(widths), "FIRST": residual_first,
    }  # fmt: skip
    with torch.cuda.device_of(out):
        if weight.ndim == 2 or _is_few(weight, given.shape[3], channels):
            launch_few(common, weight, channels, precision)
        else:
            launch_matrix(common, weight, precision)


def _is_few(weight: Tensor, channels_in: int, channels: int) -> bool:
    """Whether groups are so narrow that most of a matrix would be filling."""
    groups = len(weight)
    return groups > 1 and min(channels_in, channels) < 16 * groups
