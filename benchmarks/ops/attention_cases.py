"""Heads of long-range models for the benchmarks of the attention ops, and plain PyTorch's way with a block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

CASES = {  # heads, heads of keys, tokens, channels of a head and of its values
    "enformer-1536": (8, 8, 1536, 64, 192),
    "borzoi-4096": (8, 8, 4096, 64, 192),
    "flashzoi-4096": (8, 4, 4096, 64, 64),
}


def tensors(name: str) -> dict[str, Tensor]:
    """Random queries, keys, values, gradients and one dense row of weights."""
    heads, groups, tokens, width, wide = CASES[name]
    r = torch.rand(1, 1, 1, tokens)
    return {
        "query": torch.randn(1, heads, tokens, width), "key": torch.randn(1, groups, tokens, width),
        "value": torch.randn(1, groups, tokens, wide), "grad": torch.randn(1, heads, tokens, wide),
        "r": r / r.sum(),
    }  # fmt: skip


def blocks(query: Tensor, key: Tensor, rows: int = 256) -> Iterator[tuple[slice, Any]]:
    """Slices of queries and their logits, of all heads."""
    keys = key.repeat_interleave(query.shape[1] // key.shape[1], 1).mT
    for i in range(0, query.shape[2], rows):
        at = slice(i, i + rows)
        yield at, (query[:, :, at] @ keys).mul_(query.shape[3] ** -0.5)
