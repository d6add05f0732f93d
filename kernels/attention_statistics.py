"""Row statistics and column sums of attention: see ``nucleoscope.ops.attention_statistics`` for the contract."""

import math
from typing import Any

import torch
from torch import Tensor

from .attention_apply import launch_keys
from .attention_lse import launch_rows


def attention_statistics(
    query: Tensor, key: Tensor, scores: Any, made: Any, *, precision: str = "tf32x3"
) -> None:
    """Launch on contiguous arguments; ``made`` are the op's outputs in their order, written in full."""
    *rows, columns = made
    with torch.cuda.device_of(columns):
        launch_rows(query, key, scores, *rows, bits=True, precision=precision)
        launch_keys(query, key, scores, None, rows[0], columns[:, :, None], precision=precision)
        rows[0].mul_(math.log(2))
