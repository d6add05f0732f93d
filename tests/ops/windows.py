"""Made-up windows for the tests of the delta ops: rows, deltas and originals that agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from nucleoscope import _C
from nucleoscope.ops import Original, Rows

LENGTH = 60


def rows(sites: int, *widths: int) -> Rows:
    """Pieces 40 apart, each site's begun anywhere: beyond both ends as well."""
    starts = [torch.randint(-5, 25, (sites,)) + 40 * j for j in range(len(widths))]
    return Rows(torch.stack(starts), widths)


def delta(on: Rows, edits: int, channels: int, dtype: torch.dtype, density: float = 0.5) -> Tensor:
    """Deltas on these rows, many of them exactly zero."""
    shape = (sum(on.widths), on.starts.shape[1], edits, channels)
    return torch.randn(shape, dtype=dtype) * (torch.rand(shape) < density)


def original(sites: int, channels: int, dtype: torch.dtype, length: int = LENGTH) -> Original:
    """Activations of three sequences, all positions kept."""
    sequence = torch.randint(0, 3, (sites,), dtype=torch.int32)
    return Original(torch.randn(3, length, channels, dtype=dtype), sequence, 0)


def assert_same(got: Tensor, expected: Tensor, scale: float = 1.0) -> None:
    """Equal to rounding: a few digits of the number type, relative to what was summed."""
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    bound = 32 * torch.finfo(got.dtype).eps * scale
    torch.testing.assert_close(got, expected, rtol=bound, atol=bound, equal_nan=True)


def forced(isa: str, call: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
    """The op under one instruction set."""
    chosen = _C.isa()
    try:
        _C.use_isa(isa)
        return call(*args, **kwargs)
    finally:
        _C.use_isa(chosen)


def refuses(message: str, kind: type[Exception] = ValueError) -> Any:
    return pytest.raises(kind, match=message)
