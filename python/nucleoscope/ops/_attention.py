"""What the attention ops share: their common arguments, flat as torch wants them, and their checks."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from nucleoscope.naive.ops import Scores
from nucleoscope.naive.ops._scores import scale_of
from nucleoscope.ops._arguments import Arguments

SCORES = (
    "float scale, int first, int? behind, int? ahead, Tensor? mask, Tensor? bias, int[] steps, "
    "float? softcap, Tensor? slopes, Tensor? table, Tensor? index"
)
BLOCK = 256  # queries whose attention the definition holds at a time

_Flat = tuple[
    float, int, int | None, int | None, Tensor | None, Tensor | None, list[int], float | None,
    Tensor | None, Tensor | None, Tensor | None,
]  # fmt: skip


def flat(query: Tensor, scores: Scores | None) -> _Flat:
    """The fields of Scores in the order of SCORES."""
    s = Scores() if scores is None else scores
    scale = scale_of(s, query)
    return (
        scale, s.first, s.behind, s.ahead, s.mask, s.bias, list(s.steps), s.softcap, s.slopes, s.table,
        s.index,
    )  # fmt: skip


class Sizes(NamedTuple):
    """Of one call: sequences, heads, heads of keys, queries, keys, channels of a head."""

    B: int
    H: int
    G: int
    Lq: int
    Lk: int
    D: int


class CompiledAttention(NamedTuple):
    """One call's queries, keys and scores for C++."""

    arguments: tuple[tuple[int, ...], tuple[int, ...], tuple[float, float]]
    held: tuple[Tensor | None, ...]


class Attention:
    """Queries, keys and scores of one call, put together again and checked."""

    def __init__(
        self, op: str, query: Tensor, key: Tensor, scale: float, first: int, behind: int | None,
        ahead: int | None, mask: Tensor | None, bias: Tensor | None, steps: list[int],
        softcap: float | None, slopes: Tensor | None, table: Tensor | None, index: Tensor | None,
    ) -> None:  # fmt: skip
        self.op, self.query, self.key = op, query, key
        self.arguments = Arguments(op)
        self.arguments.read("query", query, "BHQD", torch.float32, torch.float64)
        self.arguments.read("key", key, "BGKD", query.dtype)
        self.sizes = Sizes(query.shape[0], query.shape[1], key.shape[1], *(
            query.shape[2], key.shape[2], query.shape[3]
        ))  # fmt: skip
        if min(self.sizes) < 1:
            raise ValueError(
                f"{op}: query {list(query.shape)} and key {list(key.shape)} hold no logit: "
                "every axis needs a length of 1 or more"
            )
        if self.sizes.H % self.sizes.G:
            raise ValueError(
                f"{op}: {self.sizes.H} heads of queries cannot share {self.sizes.G} heads of keys: "
                "the first must be a multiple of the second"
            )
        if len(steps) != 2 or min(steps) < 1:
            raise ValueError(f"{op}: steps {steps} must be two numbers of 1 or more")
        if softcap is not None and not 0 < softcap < math.inf:
            raise ValueError(f"{op}: softcap={softcap} must be a finite number above 0")
        if not math.isfinite(scale):
            raise ValueError(f"{op}: scale={scale} must be finite")
        self.scores = Scores(
            scale=scale, first=first, behind=behind, ahead=ahead, mask=mask, bias=bias,
            steps=(steps[0], steps[1]), softcap=softcap, slopes=slopes, table=table, index=index,
        )  # fmt: skip
        self._read_tensors()

    def _read_tensors(self) -> None:
        scores, arguments = self.scores, self.arguments
        B, H, _, Lq, Lk, _ = self.sizes
        if scores.mask is not None:
            arguments.read("mask", scores.mask, "....", torch.bool)
            self._serves("mask", scores.mask, (B, H, Lq, Lk))
        if scores.bias is not None:
            arguments.read("bias", scores.bias, "....", self.query.dtype)
            coarse = (-(-n // step) for n, step in zip((Lq, Lk), scores.steps, strict=True))
            self._serves("bias", scores.bias, (B, H, *coarse))
        if scores.slopes is not None:
            arguments.read("slopes", scores.slopes, "H", self.query.dtype)
        if scores.table is not None:
            arguments.read("table", scores.table, "...R", self.query.dtype)
            kinds = scores.table.shape[3]
            self._serves("table", scores.table, (B, H, Lq, kinds))
            many = kinds if scores.index is None else len(scores.index)
            if many % 2 == 0:
                raise ValueError(
                    f"{self.op}: {'table' if scores.index is None else 'index'} has {many} distances; must "
                    "be odd, with distance 0 in the middle and as many before it as behind"
                )
        if scores.index is not None:
            if scores.table is None:
                raise ValueError(
                    f"{self.op}: index says where in table a distance stands, but there is no table"
                )
            arguments.read("index", scores.index, "N", torch.int32)
            kinds = scores.table.shape[3]
            if scores.index.device.type == "cpu" and bool(
                ((scores.index < 0) | (scores.index >= kinds)).any()
            ):
                raise ValueError(
                    f"{self.op}: index goes from {int(scores.index.min())} to {int(scores.index.max())}, "
                    f"but table has {kinds} entries a query: entries must lie in [0, {kinds})"
                )

    def _serves(self, name: str, tensor: Tensor, lengths: tuple[int, ...]) -> None:
        if all(n in {1, length} for n, length in zip(tensor.shape, lengths, strict=True)):
            return
        raise ValueError(
            f"{self.op}: {name} has shape {list(tensor.shape)}; must be {list(lengths)}, where any of the "
            "four but the table's last may be 1 to serve all"
        )

    def compiled(self) -> CompiledAttention:
        """As C++ takes them: addresses, sizes, numbers; and the tensors that must stay until then."""
        s, (B, H, _, Lq, Lk, _) = self.scores, self.sizes
        far = Lq + Lk + abs(s.first)
        behind, ahead = (far if n is None else n for n in (s.behind, s.ahead))
        kinds = 1 if s.table is None else (s.table.shape[3] if s.index is None else len(s.index))
        rows, columns = (-(-n // step) for n, step in zip((Lq, Lk), s.steps, strict=True))
        spread = [
            (s.mask, (B, H, Lq, Lk)),
            (s.bias, (B, H, rows, columns)),
            (s.table, (B, H, Lq, -1)),
        ]
        wide = [None if t is None else t.expand(shape) for t, shape in spread]
        strides = [n for t in wide for n in ((0,) * 4 if t is None else t.stride())]
        index, slopes = (None if t is None else t.contiguous() for t in (s.index, s.slopes))
        held = (self.query.contiguous(), self.key.contiguous(), *wide, index, slopes)
        addresses = tuple(0 if t is None else t.data_ptr() for t in held)
        sizes = (*self.sizes, s.first, behind, ahead, *s.steps, kinds, *strides)
        return CompiledAttention((addresses, sizes, (s.scale or 0.0, s.softcap or 0.0)), held)

    def read_r(self, r: Tensor) -> Tensor:
        """Check the queries' weights [B, H or 1, M, Lq] and give every head its own view of them."""
        self.arguments.read("r", r, "B.MQ", self.query.dtype)
        if r.shape[1] not in {1, self.sizes.H}:
            raise ValueError(
                f"{self.op}: r has weights for {r.shape[1]} heads; must be 1 for all heads alike, or "
                f"{self.sizes.H}"
            )
        if r.shape[2] < 1:
            raise ValueError(f"{self.op}: r {list(r.shape)} has no target row: give one or more")
        return r.contiguous().expand(-1, self.sizes.H, -1, -1)
