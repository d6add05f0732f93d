"""What delta_conv is tested at: geometries with the borders between tiles, blocks and passes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from nucleoscope.naive import ops as naive
from nucleoscope.ops import pack_weight
from tests.ops.rows import before, changed, random_delta, random_original, random_rows


@dataclass(frozen=True)
class Case:
    """A convolution, the rows that are given and asked, and what is done to its output."""

    rows_in: tuple[int, ...]
    rows_out: tuple[int, ...]
    sites: int
    edits: int
    wide_part: int  # channels in, of one group
    made_part: int  # channels out
    taps: int
    stride: int = 1
    dilation: int = 1
    groups: int = 1
    pad: int = 0
    residual: tuple[int, ...] = ()
    relu: bool = False
    residual_first: bool = False
    first: int = 0  # originals are kept from here on
    length: int = 12  # small: many rows lie beyond its ends

    @property
    def wide(self) -> int:
        return self.groups * self.wide_part

    @property
    def channels(self) -> int:
        return self.groups * self.made_part

    @property
    def length_in(self) -> int:
        span = (self.taps - 1) * self.dilation + 1
        return max((self.length - 1) * self.stride + span - 2 * self.pad, 1)

    def with_(self, head: dict[str, Any]) -> Case:
        """The same with another head."""
        return replace(self, **head)

    def arguments(self, dtype: torch.dtype, device: Any = "cpu") -> dict[str, Any]:
        """Random arguments: all rows are around a position that is asked, one that it reads."""
        like = torch.empty(0, dtype=dtype, device=device)
        asked = torch.randint(0, self.length, (self.sites,), device=device)
        tap = torch.randint(0, self.taps, (self.sites,), device=device)
        read = asked * self.stride - self.pad + tap * self.dilation
        rows_in = random_rows(before(read, self.rows_in), self.rows_in)
        weight = like.new_empty(self.taps, self.wide_part, self.channels).normal_()
        made: dict[str, Any] = {
            "given": random_delta(rows_in, self.edits, self.wide, like), "rows_in": rows_in,
            "weight": pack_weight(weight, self.groups),
            "rows_out": random_rows(before(asked, self.rows_out), self.rows_out), "channels": self.channels,
            "stride": self.stride, "dilation": self.dilation, "pad": self.pad,
            "length": self.length, "residual_first": self.residual_first,
        }  # fmt: skip
        if self.relu:
            made["original"] = random_original(self.sites, 9, self.channels, like, self.first)
        if self.residual:
            made["beside"] = random_rows(before(asked, self.residual), self.residual)
            made["residual"] = random_delta(made["beside"], self.edits, self.channels, like)
        return made


HEADS: dict[str, dict[str, Any]] = {
    "plain": {},
    "relu": {"relu": True},
    "residual": {"residual": (4,)},
    "relu, residual before": {"relu": True, "residual": (2, 3), "residual_first": True},
    "relu, residual behind": {"relu": True, "residual": (3, 2), "first": 2},
}
CASES = {  # rows given and asked; sites, edits, channels in and out (of a group), taps, ...
    "one of each": Case((1,), (1,), 1, 1, 1, 1, 1),
    "one alternative": Case((20,), (31,), 3, 1, 33, 40, 5, 1, 2, pad=4, length=60),
    "one alternative, pieces": Case((4, 0, 9), (3, 14), 4, 1, 70, 33, 7, pad=3, length=40),
    "one alternative, stride": Case((20,), (9,), 2, 1, 8, 17, 3, 2, 1, pad=1, length=30),
    "odd": Case((7,), (9,), 5, 3, 33, 17, 3, 2, 3, pad=2),
    "basset": Case((7,), (17,), 7, 3, 30, 24, 11, length=30),
    "two pieces": Case((4, 3), (3, 5), 4, 2, 20, 33, 5, pad=2),
    "three pieces, one of them empty": Case((2, 0, 5), (1, 4, 3), 3, 5, 16, 16, 4, 1, 2, pad=3),
    "stride beyond the taps": Case((9,), (5,), 4, 4, 15, 15, 2, 5, 1, pad=1),
    "dilation 128": Case((5, 5), (140, 130), 2, 3, 8, 8, 3, 1, 128, pad=128, length=300),
    "groups": Case((6,), (7,), 4, 3, 3, 5, 3, 1, 1, 4, pad=1),
    "groups of many columns": Case((3,), (3,), 2, 3, 5, 33, 2, 1, 1, 2, pad=1),
    "depthwise": Case((6,), (7,), 4, 3, 1, 1, 7, 1, 2, 19, pad=3),
    "depthwise, multiplied": Case((6,), (7,), 4, 1, 1, 3, 5, 1, 1, 6, pad=2),
    "depthwise, around a vector": Case((4, 3), (5,), 3, 4, 1, 1, 4, 2, 1, 17, pad=1),
    "depthwise, many vectors": Case((9,), (9,), 3, 5, 1, 1, 3, 1, 3, 83, pad=3),
    "depthwise, shared": Case((30, 9), (41,), 6, 3, 1, 2, 7, 1, 1, 70, pad=3, length=60),
    "one channel to many": Case((4,), (5,), 3, 3, 1, 37, 3, pad=1),
    "flatten, linear": Case((5, 2), (1,), 6, 3, 30, 50, 13, length=1),
    "linear": Case((1,), (1,), 6, 3, 300, 100, 1, length=1),
    "300 channels": Case((8,), (9,), 20, 3, 300, 100, 11, pad=5),
    "700 channels": Case((3,), (4,), 4, 4, 700, 33, 3, 1, 2, pad=2),
    "700 channels to one": Case((3,), (4,), 4, 5, 700, 1, 2),
    "150 channels": Case((9,), (9,), 3, 2, 150, 16, 9, pad=4),  # one, two or three taps a pass
    "90 channels": Case((9,), (9,), 3, 3, 90, 17, 9, pad=4),
    "negative pad": Case((9,), (9,), 3, 3, 4, 4, 3, pad=-2),
    "no rows given": Case((0,), (5,), 4, 3, 8, 8, 3),
    "no rows asked": Case((5,), (0,), 4, 3, 8, 8, 3),
    "no sites": Case((5,), (5,), 0, 3, 8, 8, 3),
    "no edits": Case((5,), (5,), 4, 0, 8, 8, 3),
    "no channels out": Case((5,), (5,), 4, 3, 8, 0, 3),
}


def judged(arguments: dict[str, Any]) -> Tensor:
    """The definition in float64."""
    return naive.delta_conv(**changed(arguments, Tensor.double))


def tolerance(arguments: dict[str, Any]) -> Tensor:
    """8 roundings of sum |w| |d| + |residual|: no ReLU makes a delta larger."""
    plain = {name: value for name, value in arguments.items() if name != "original"}
    if plain["weight"].dtype == torch.int32:
        plain["weight"] = in_full(plain["weight"], plain["given"].shape[3])
    summed = naive.delta_conv(**changed(plain, lambda tensor: tensor.double().abs()))
    return 8 * torch.finfo(arguments["given"].dtype).eps * summed


def in_full(pairs: Tensor, channels: int) -> Tensor:
    """Packed weights that were rounded to pairs of bfloat16, as float32."""
    halves = pairs.unsqueeze(-1).view(torch.bfloat16).float()
    wide = channels // max(len(pairs), 1)
    return halves.transpose(4, 5).flatten(3, 4)[:, :, :, :wide].contiguous()
