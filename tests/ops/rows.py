"""Random rows, originals and deltas for the tests of the delta ops, and what they are on a layer."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from nucleoscope import _C
from nucleoscope.ops import Original, Rows

DTYPES = [torch.float32, torch.float64]
M_PERTURB = -6  # of glibc's mallopt


def random_rows(begin: Tensor, widths: tuple[int, ...]) -> Rows:
    """Pieces from these positions [S] on, in any order, 0 to 3 rows apart."""
    starts = torch.zeros(len(widths), len(begin), dtype=torch.int64, device=begin.device)
    for piece in torch.randperm(len(widths)).tolist():
        starts[piece] = begin
        begin = begin + widths[piece] + torch.randint_like(begin, 0, 4)
    return Rows(starts, widths)


def before(positions: Tensor, widths: tuple[int, ...]) -> Tensor:
    """Where pieces of these widths may begin so that, but for gaps, they reach these positions."""
    return positions - torch.randint_like(positions, 0, max(sum(widths), 1))


def random_original(
    sites: int, length: int, channels: int, like: Tensor, first: int = 0
) -> Original:
    """Activations of three sequences, in halves: so that ties and zeros are met."""
    values = like.new_empty(3, length, channels).normal_().mul_(2).round_().div_(2)
    sequence = torch.randint(0, 3, (sites,), dtype=torch.int32, device=like.device)
    return Original(values, sequence, first)


def random_delta(rows: Rows, edits: int, channels: int, like: Tensor) -> Tensor:
    """Deltas of which many are zero: single ones, and channels in all edits of a site."""
    shape = (sum(rows.widths), rows.starts.shape[1], edits, channels)
    alive = torch.rand(shape, device=like.device) > 0.2
    alive &= torch.rand(*shape[:2], 1, channels, device=like.device) > 0.3
    alive[:, :, :1, :1] = True  # so that no case is empty by chance
    return like.new_empty(shape).normal_() * alive


def converted(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """An argument with its floating-point tensors changed."""
    if isinstance(value, Tensor):
        return change(value) if value.is_floating_point() else value
    if isinstance(value, tuple) and not isinstance(value, torch.Size):
        made = [converted(each, change) for each in value]
        return type(value)(*made) if hasattr(value, "_fields") else tuple(made)
    return value


def changed(case: dict[str, Any], change: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    """The case with every floating-point tensor changed."""
    return {name: converted(value, change) for name, value in case.items()}


def strided(tensor: Tensor) -> Tensor:
    """The same values, not contiguous."""
    return tensor.repeat_interleave(2, -1)[..., ::2]


def laid(given: Tensor, rows: Rows, length: int) -> Tensor:
    """Deltas on rows as changes of the whole layer, [S, E, C, length]; rows beyond it are dropped."""
    _, sites, edits, channels = given.shape
    layer = given.new_zeros(sites, edits, channels, length)
    for row, (site, where) in zip(given.flatten(0, 1), each_row(rows), strict=True):
        if 0 <= where < length:
            layer[site, ..., where] = row
    return layer


def read_off(layer: Tensor, rows: Rows) -> Tensor:
    """What a change [S, E, C, length] is on rows, [W, S, E, C]; zero beyond the layer."""
    inside = range(layer.shape[-1])
    empty = torch.zeros_like(layer[0, ..., 0])
    made = [layer[s, ..., p] if p in inside else empty for s, p in each_row(rows)]
    return torch.stack(made).unflatten(0, (-1, len(layer)))


def each_row(rows: Rows) -> Iterator[tuple[int, int]]:
    """Site and position of every row and site, in the order of [W, S]."""
    for starts, width in zip(rows.starts.tolist(), rows.widths, strict=True):
        for w in range(width):
            yield from ((site, start + w) for site, start in enumerate(starts))


def assert_equal(got: Tensor, expected: Tensor) -> None:
    """Equal to the bit, but for a zero's sign; NaN where NaN."""
    torch.testing.assert_close(got, expected, rtol=0, atol=0, equal_nan=True)


def assert_near(got: Tensor, expected: Tensor) -> None:
    """Off the answer in float64 by no more than some roundings of its largest value."""
    largest = expected.abs().max().item() if expected.numel() else 0.0
    atol = 32 * torch.finfo(got.dtype).eps * largest
    torch.testing.assert_close(got.double(), expected.double(), rtol=0, atol=atol)


@contextlib.contextmanager
def instruction_set(isa: str) -> Iterator[None]:
    """This set in force."""
    before = _C.isa()
    try:
        _C.use_isa(isa)
        assert _C.isa() == isa
        yield
    finally:
        _C.use_isa(before)


@contextlib.contextmanager
def poisoned_malloc() -> Iterator[None]:
    """What C++ allocates holds 0x7f in every byte: 3e38, 1e306, indices that reach nothing.

    Only glibc can; elsewhere nothing is done. Blocks below a kilobyte may come back as they were.
    """
    glibc = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")
    mallopt = ctypes.CDLL(None).mallopt if glibc else lambda *_: 0
    try:
        mallopt(M_PERTURB, 0x80)
        yield
    finally:
        mallopt(M_PERTURB, 0)
