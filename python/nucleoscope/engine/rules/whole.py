"""What a whole axis comes to: maximum, logsumexp, variance; and running sums along the length."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nucleoscope.engine.graph import Axes, NotLocal, Rule, vector
from nucleoscope.engine.rows import Rows, gather, zero_outside
from nucleoscope.engine.rules.pool import MaxPool
from nucleoscope.engine.rules.registry import Lowering, argument, aten, rule, sample_shape
from nucleoscope.engine.step import Step
from nucleoscope.engine.transfer import sent
from nucleoscope.engine.windows import SAME, Stencil


@dataclass(frozen=True)
class Part:
    """What of a sample a reduction goes over: its length, or some of its channel axes."""

    along: bool
    sizes: tuple[int, ...]  # the channels as axes
    dims: tuple[int, ...]  # which of them
    out: Axes

    def cube(self, values: Tensor) -> Tensor:
        """[..., C] with the channels as axes."""
        return values.reshape(*values.shape[:3], *self.sizes)

    @property
    def over(self) -> list[int]:
        """The dimensions of a cube that are reduced."""
        return [3 + d for d in self.dims]


def part(low: Lowering, source: Any, given: Any, keep: bool) -> Part:
    """What these dimensions of an edited value are, and the axes of what is left."""
    axes = low.axes(source)
    rank = len(axes.shape)
    if axes.length > 1 and axes.dim is None:
        raise NotLocal("the length axis is merged with another axis here")
    dims = [d % (rank + 1) for d in ([given] if isinstance(given, int) else given or [])]
    if 0 in dims or not dims:
        raise NotLocal("it reduces the batch")
    over = [d - 1 for d in dims]
    at = axes.dim
    sizes = tuple(1 if d == at else size for d, size in enumerate(axes.shape))
    left = [1 if d in over else s for d, s in enumerate(axes.shape) if keep or d not in over]
    if at is not None and over != [at] and at in over:
        raise NotLocal("it reduces the length together with channels")
    if at is None or at in over:
        return Part(at is not None, sizes, tuple(d for d in over if d != at), vector(left))
    where = at if keep else at - sum(d < at for d in over)
    out = Axes(tuple(left), prod(left[:where]), axes.length, prod(left[where + 1 :]))
    return Part(False, sizes, tuple(over), out)


@dataclass(frozen=True)
class LargestChannel(Rule):
    """max_c(d_c - (m - z_c)), m the original maximum."""

    part: Part

    def delta(self, step: Step) -> Tensor:
        given = step.seen(0)
        assert given is not None
        z = self.part.cube(step.original(self.reads[0]))
        below = z.amax(self.part.over, keepdim=True) - z
        moved = (self.part.cube(given) - below).amax(self.part.over)
        return moved.reshape(*given.shape[:3], -1)


@rule(aten.amax.default)
def lower_largest(low: Lowering, node: torch.fx.Node) -> MaxPool | LargestChannel:
    source: Any = node.args[0]
    cell = _cell(low, node)
    if cell is not None:
        return cell
    keep = bool(argument(node, 2, "keepdim", False))
    over = part(low, source, argument(node, 1, "dim", ()), keep)
    name, length = low.ripple(source), low.axes(source).length
    if over.along:  # a pool of one cell
        return MaxPool((name,), over.out, (source.name, node.name), length, Stencil(length, length))
    return LargestChannel((name,), over.out, (source.name,), over)


def _cell(low: Lowering, node: torch.fx.Node) -> MaxPool | None:
    """The maximum over the axis within the cells of a length that was split: a max-pool."""
    source: Any = node.args[0]
    axes = low.axes(source)
    dims: Any = argument(node, 1, "dim", ())
    dims = [dims] if isinstance(dims, int) else dims
    if len(dims) != 1:
        return None
    taps = axes.cell(dims[0] % (len(axes.shape) + 1) - 1)
    if taps is None:
        return None
    shape, cells = sample_shape(node), axes.length // taps
    out = vector(shape) if cells == 1 else Axes(shape, axes.left, cells, axes.right)
    reads = (source.name, node.name)
    return MaxPool((low.ripple(source),), out, reads, axes.length, Stencil(taps, taps))


def normaliser(z: Tensor, d: Tensor, dims: list[int]) -> Tensor:
    """Change of logsumexp(z) over these dimensions, which stay as 1."""
    was = z - torch.logsumexp(z, dims, keepdim=True)
    near = torch.log1p((was.exp() * torch.expm1(d.clamp(-1.0, 1.0))).sum(dims, keepdim=True))
    far = torch.logsumexp(was + d, dims, keepdim=True)
    return torch.where(d.abs().amax(dims, keepdim=True) < 1.0, near, far)


@dataclass(frozen=True)
class LogSumExp(Rule):
    """Over channels: log1p(sum p expm1(d)), p the original softmax; by the sums themselves for large d."""

    part: Part

    def delta(self, step: Step) -> Tensor:
        given = step.seen(0)
        assert given is not None
        z, d = self.part.cube(step.original(self.reads[0])), self.part.cube(given)
        return normaliser(z, d, self.part.over).reshape(*given.shape[:3], -1)


@dataclass(frozen=True)
class LogSumExpOfLength(Rule):
    """The same over the length: what lies outside the window keeps its share of the sum."""

    length_in: int

    def reach(self, index: int) -> Stencil:
        return Stencil(taps=self.length_in)

    def looks(self, index: int) -> int | None:
        return 0

    def delta(self, step: Step) -> Tensor:
        d, rows, first, last = one_piece(step)
        whole, _ = step.originals.kept[self.reads[0]]  # [N, L, C]
        share = torch.softmax(whole.double(), 1)
        none = torch.zeros_like(share[:, :1])
        before = torch.cat([none, share.cumsum(1)], 1)
        after = torch.cat([share.flip(1).cumsum(1).flip(1), none], 1)
        which = sent(step.edits.sequence, share.device)
        rest = (before[which, first] + after[which, last])[None, :, None].to(d)
        z = step.original(self.reads[0], rows)
        total = torch.logsumexp(whole, 1)[which][None, :, None]
        p = zero_outside((z - total).exp().expand(*d.shape[:2], 1, d.shape[3]).clone(), rows)
        near = torch.log1p((p * torch.expm1(d.clamp(-1.0, 1.0))).sum(0, keepdim=True))
        peak = d.amax(0, keepdim=True).clamp(min=0.0)
        far = torch.log(rest * (-peak).exp() + (p * (d - peak).exp()).sum(0, keepdim=True)) + peak
        return torch.where(d.abs().amax(0, keepdim=True) < 1.0, near, far)


def one_piece(step: Step) -> tuple[Tensor, Rows, Tensor, Tensor]:
    """A delta on rows without gaps, those rows, and where in the layer they begin and end: [S] each."""
    given = step.given(0)
    begin = np.minimum.reduce(given.rows.starts)
    ends = [s + w for s, w in zip(given.rows.starts, given.rows.widths, strict=True)]
    width = int((np.maximum.reduce(ends) - begin).max())
    rows = Rows((begin,), (width,), given.rows.length)
    device = given.values.device
    first, last = (sent(np.clip(at, 0, rows.length), device) for at in (begin, begin + width))
    return given.on(rows), rows, first, last


@rule(aten.logsumexp.default)
def lower_logsumexp(low: Lowering, node: torch.fx.Node) -> LogSumExp | LogSumExpOfLength:
    source: Any = node.args[0]
    over = part(low, source, node.args[1], bool(argument(node, 2, "keepdim", False)))
    name = low.ripple(source)
    if over.along:
        return LogSumExpOfLength((name,), over.out, (source.name,), low.axes(source).length)
    return LogSumExp((name,), over.out, (source.name,), over)


@dataclass(frozen=True)
class Variance(Rule):
    """(sum(2 (z - mean) d + d^2) - (sum d)^2 / n) / (n - correction)."""

    part: Part
    count: int
    correction: float

    def reach(self, index: int) -> Stencil:
        return Stencil(taps=self.count) if self.part.along else SAME

    def looks(self, index: int) -> int | None:
        return 0

    def delta(self, step: Step) -> Tensor:
        if self.part.along:
            given = step.given(0)
            z, d, over = step.original(self.reads[0], given.rows), given.values, [0]
            whole, _ = step.originals.kept[self.reads[0]]
            which = sent(step.edits.sequence, d.device)
            mean = whole.mean(1)[which][None, :, None]
        else:
            seen = step.seen(0)
            assert seen is not None
            z, d = (self.part.cube(t) for t in (step.original(self.reads[0]), seen))
            over = self.part.over
            mean = z.mean(over, keepdim=True)
        moved = ((z - mean) * 2.0 * d + d * d).sum(over) - d.sum(over).square() / self.count
        rows = step.rows
        return moved.reshape(rows.width, rows.sites, d.shape[2], -1) / (
            self.count - self.correction
        )


@rule(aten.var.dim, aten.var.correction)
def lower_variance(low: Lowering, node: torch.fx.Node) -> Variance:
    source: Any = node.args[0]
    if node.target is aten.var.dim:
        correction = float(bool(argument(node, 2, "unbiased", True)))
    else:
        given = node.kwargs.get("correction")
        correction = 1.0 if given is None else float(given)  # type: ignore[arg-type]
    dims = argument(node, 1, "dim", None)
    keep = argument(node, 3, "keepdim", False)
    over = part(low, source, dims, bool(keep))
    axes = low.axes(source)
    count = axes.length if over.along else prod(over.sizes[d] for d in over.dims)
    return Variance((low.ripple(source),), over.out, (source.name,), over, count, correction)


@dataclass(frozen=True)
class RunningSum(Rule):
    """A cumulative sum along the length: an edit's window goes on to the end."""

    length_in: int

    def reach(self, index: int) -> Stencil:
        return Stencil(taps=self.length_in, pad=self.length_in - 1)

    def delta(self, step: Step) -> Tensor:
        given = step.given(0)
        sums = given.values.cumsum(0)
        o = step.rows.positions
        before = np.zeros_like(o)  # how many of the given rows lie at or before each position
        for start, width in zip(given.rows.starts, given.rows.widths, strict=True):
            before += np.clip(o - start + 1, 0, width)
        return zero_outside(gather(sums, before - 1), step.rows)


@rule(aten.cumsum.default)
def lower_running_sum(low: Lowering, node: torch.fx.Node) -> RunningSum:
    source: Any = node.args[0]
    axes = low.axes(source)
    if axes.dim is None or int(node.args[1]) % (len(axes.shape) + 1) != axes.dim + 1:  # type: ignore[arg-type]
        raise NotLocal("a running sum over something other than the length")
    if node.meta["val"].dtype != source.meta["val"].dtype:
        raise NotLocal("it changes the number type")
    return RunningSum((low.ripple(source),), replace(axes), (), axes.length)
