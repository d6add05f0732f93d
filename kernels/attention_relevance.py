"""Rows times gradient-weighted attention: see ``nucleoscope.ops.attention_relevance`` for the contract."""

from typing import Any

import torch
from torch import Tensor

from .attention_apply import launch_keys
from .attention_lse import launch_rows


def attention_relevance(
    query: Tensor, key: Tensor, value: Tensor, grad: Tensor, r: Tensor, scores: Any, out: Tensor, *,
    precision: str = "tf32x3",
) -> None:  # fmt: skip
    """Launch on arguments that are contiguous, r but for its heads; the output is written in full."""
    lse = query.new_empty(query.shape[:3])
    with torch.cuda.device_of(out):
        launch_rows(query, key, scores, lse, bits=True, precision=precision)
        launch_keys(query, key, scores, r, lse, out, value=value, grad=grad, precision=precision)
