"""What packed weights of ``delta_conv`` are: their axes on each device, and what they are for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def weight_kinds(weight: Tensor, given: torch.dtype) -> tuple[Any, ...]:
    """The axes of packed weights, and the types that meet deltas of a type: it, or pairs of bfloat16."""
    if weight.ndim == 2:
        return ("KO", given)
    place = weight.device.type
    on_gpu = place == "cuda" or (place != "cpu" and weight.ndim == 4)
    axes = "GKJI" if on_gpu else "GBKIJ"
    return (axes, given, torch.int32) if given == torch.float32 else (axes, given)


def takes(weight: Tensor, channels_in: int | None, channels: int) -> bool:
    """Whether packed weights are for so many channels in (None: any number) and out."""
    if weight.ndim == 2:
        some = len(weight) > 0 and weight.shape[1] == channels
        return some and (channels_in is None or (channels_in > 0 and channels % channels_in == 0))
    in_pairs = weight.dtype == torch.int32
    if weight.ndim == 4:
        return _takes_on_gpu(weight.shape, in_pairs, channels_in, channels)
    groups, blocks, taps, wide, columns = weight.shape
    if min(groups, taps, wide) < 1 or columns != 16 or channels % groups:
        return False
    if channels_in is not None:
        in_each, left = divmod(channels_in, groups)
        in_each = -(-in_each // 2) if in_pairs else in_each
        if left or wide != in_each:
            return False
    return blocks == -(-(channels // groups) // 16)


def _takes_on_gpu(
    shape: torch.Size, in_pairs: bool, channels_in: int | None, channels: int
) -> bool:
    groups, taps, made, padded = shape
    padded = 2 * padded if in_pairs else padded
    if min(groups, taps, padded) < 1 or padded % 16 or groups * made != channels:
        return False
    return channels_in is None or (
        channels_in % groups == 0 and -(-(channels_in // groups) // 16) * 16 == padded
    )


def parts(weight: Tensor, channels_in: int) -> tuple[int, int]:
    """The groups and taps of weights that were packed for a processor."""
    if weight.ndim == 2:
        return channels_in, len(weight)
    return weight.shape[0], weight.shape[2]
