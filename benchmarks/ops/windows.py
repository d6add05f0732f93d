"""Windows of neighbouring sites, as a scan makes them."""

from __future__ import annotations

import torch
from torch import Tensor

from nucleoscope.ops import Original, Rows

LENGTH = 4000


def rows(sites: int, width: int, first: int = 1000) -> Rows:
    """One window a site, each one position further."""
    return Rows(torch.arange(first, first + sites)[None], (width,))


def original(sites: int, channels: int) -> Original:
    """One sequence's activations."""
    return Original(torch.randn(1, LENGTH, channels), torch.zeros(sites, dtype=torch.int32))


def taken(held: Original, on: Rows) -> Tensor:
    """The activations on these rows, [W, S, 1, C]."""
    where = on.starts[0] + torch.arange(on.widths[0])[:, None]
    return held.values[0][where][:, :, None]
