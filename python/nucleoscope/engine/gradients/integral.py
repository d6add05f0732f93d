"""The mean gradient on straight paths: by one rule, or refined until its own error bar is small enough."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nucleoscope.engine.gradients.backward import Backward, Inputs
from nucleoscope.engine.gradients.first_layer import interpolated
from nucleoscope.engine.gradients.path import Straight, sums
from nucleoscope.engine.gradients.quadrature import LEAST, Numbers, Rule, clenshaw_curtis, rule

ROUNDING = 16  # units of it, of outputs and scores: what a sum may be off by for no node's fault
Update = Callable[[int], object]


@dataclass(frozen=True)
class Paths:
    """Where paths begin and end, one a sequence, and the inputs that stay: [N, ...] each."""

    start: Inputs
    end: Inputs
    rest: Inputs = ()
    values: Inputs = ()  # of the targets where they begin and where they end, [N, T] each, if known

    def __len__(self) -> int:
        return len(self.end[0])

    def at(self, rows: Tensor) -> Paths:
        """Some of them."""
        start = tuple(t[rows.to(t.device) if len(t) > 1 else slice(None)] for t in self.start)
        kept = (self.end, self.rest, self.values)
        return Paths(start, *(tuple(t[rows.to(t.device)] for t in part) for part in kept))

    def along(self, gradients: Inputs) -> Tensor:
        """Gradients times the way, of all inputs side by side: [N, T, numbers]."""
        moved = [
            (g.double() * (b - a).double().to(g.device)[:, None]).flatten(2)
            for a, b, g in zip(self.start, self.end, gradients, strict=True)
        ]
        return moved[0] if len(moved) == 1 else torch.cat(moved, 2)


@dataclass
class Integral:
    """Mean gradients, what their null rule gives, and how many nodes each path took."""

    mean: Inputs  # per moved input [N, T, *its shape]
    null: Inputs
    nodes: Tensor  # [N]
    paths: Paths

    @property
    def size(self) -> Tensor:
        """How large the attribution is, [N, T]."""
        return self.paths.along(self.mean).pow(2).sum(2).sqrt()

    @property
    def error(self) -> Tensor:
        """The error bar in the same units, [N, T]: what the null rule gives, and what the sum shows to miss."""
        varied = self.paths.along(self.null).pow(2).sum(2).sqrt()
        return torch.hypot(varied, self._missed()) if self.paths.values else varied

    def _missed(self) -> Tensor:
        """How large a map it is whose sum is what the map's sum misses, beyond rounding, [N, T].

        Where the target jumps between two nodes no null rule can know, and the sum does. What it misses is laid
        out as the map is, or over as many letters, all of one sign, where that is smaller: a map may cancel in its
        sum. But where that would be more than all of the map, only the jump is missed, by a map like it: one of a
        single letter, where that adds up to 0.
        """
        along = self.paths.along(self.mean)
        before, after = (t.double().to(along.device) for t in self.paths.values)
        total, level = along.sum(2), before.abs() + after.abs() + along.abs().sum(2)
        eps = torch.finfo(self.mean[0].dtype).eps
        gap = ((total - (after - before)).abs() - ROUNDING * eps * level).clamp(min=0)
        squares = along.pow(2)
        # 1 / root of how many letters it is made of
        spread = squares.pow(2).sum(2).sqrt() / squares.sum(2)
        alike = self.size / total.abs()
        share = torch.where(gap * spread > self.size, alike, torch.fmin(alike, spread))
        return torch.where(gap > 0, gap * share.nan_to_num(nan=1.0, posinf=1.0), 0.0)

    @property
    def bar(self) -> Tensor:
        """The error bar relative to the attribution, [N, T]; 0 where both are 0."""
        return relative(self.error, self.size)

    def put(self, rows: Tensor, other: Integral) -> None:
        """Take over what another found for some rows."""
        for mine, new in zip((*self.mean, *self.null), (*other.mean, *other.null), strict=True):
            mine[rows] = new
        self.nodes[rows] = other.nodes


def relative(error: Tensor, size: Tensor) -> Tensor:
    """An error as a share of what it is of; 0 where there is none."""
    return torch.where(error > 0, error / size, torch.zeros_like(error))


def integral(backward: Backward, paths: Paths, by: Rule, update: Update) -> Integral:
    """By one rule."""
    found = _sums(backward, paths, by.nodes, np.stack([by.weights, by.null]), update)
    nodes = torch.full((len(paths),), len(by))
    return Integral(tuple(g[0] for g in found), tuple(g[1] for g in found), nodes, paths)


def by_thirds(
    backward: Backward, paths: Paths, tolerance: float, most: int, update: Update
) -> Integral:
    """Midpoints, 8, 24, 72 ... for each path until its bar is at most `tolerance` and has fallen.

    The midpoints of n parts are among those of 3n, where each has the other sign in the null rule: so
    two sums carry over all that was computed.
    """
    n = LEAST
    made = integral(backward, paths, rule("midpoint", n), update)
    waiting, before = torch.arange(len(paths)), made.bar
    while len(waiting) and 3 * n <= most:
        n *= 3
        index = np.flatnonzero(np.arange(n) % 3 != 1)
        by = rule("midpoint", n)
        share = np.stack([by.weights[index], by.null[index]])
        part = paths.at(waiting)
        new = _sums(backward, part, (index + 0.5) / n, share, update)
        old = [[g[waiting] for g in held] for held in (made.mean, made.null)]
        mean = tuple(g[0] + o / 3 for g, o in zip(new, old[0], strict=True))
        null = tuple(g[1] - o / 3 for g, o in zip(new, old[1], strict=True))
        finer = Integral(mean, null, torch.full((len(waiting),), n), part)
        made.put(waiting, finer)
        believed = (finer.bar <= tolerance) & (finer.bar <= before)
        before, waiting = finer.bar[~believed.all(1)], waiting[~believed.all(1)]
    return made


def by_halves(
    backward: Backward, paths: Paths, tolerance: float, most: int, update: Update
) -> Integral:
    """Clenshaw-Curtis rules of 9, 17, 33 ... nodes, for smooth nets, until the bar is at most `tolerance`.

    The weight of a node in each finer rule is known beforehand, so that one sum a rule carries over all
    that was computed. The bar is the difference to the rule before, which is the larger error.
    """
    sizes = [2**k + 1 for k in range(2, 12) if 2**k < most or 2**k == LEAST]
    rules = [clenshaw_curtis(n) for n in sizes]
    held: list[Tensor] = []
    made: Integral | None = None
    waiting = torch.arange(len(paths))
    for level in range(1, len(rules)):
        finest = rules[level]
        index = np.arange(len(finest)) if level == 1 else np.arange(1, len(finest), 2)
        share = np.stack([_weights(finest.nodes[index], each) for each in rules])
        part = paths.at(waiting)
        new = _sums(backward, part, finest.nodes[index], share, update)
        held = [g + h for g, h in zip(new, held, strict=True)] if held else list(new)
        null = tuple(g[level] - g[level - 1] for g in held)
        nodes = torch.full((len(waiting),), len(finest))
        finer = Integral(tuple(g[level] for g in held), null, nodes, part)
        if made is None:
            mean = tuple(g.clone() for g in finer.mean)  # `put` writes into it
            made = Integral(mean, null, nodes.clone(), paths)
        else:
            made.put(waiting, finer)
        open_ = (finer.bar > tolerance).any(1)
        held, waiting = [g[:, open_] for g in held], waiting[open_]
        if not len(waiting):
            break
    assert made is not None
    return made


def _weights(nodes: Numbers, by: Rule) -> Numbers:
    """What these nodes weigh in a rule; 0 where it has not got them."""
    gap = np.abs(by.nodes[:, None] - nodes)
    return np.where(gap.min(0) < 1e-12, by.weights[gap.argmin(0)], 0.0)


def _sums(
    backward: Backward, paths: Paths, nodes: Numbers, share: Numbers, update: Update
) -> Inputs:
    if (behind := interpolated(backward)) is not None:
        found = behind.sums(paths.start[0], paths.end[0], paths.rest, nodes, share, update)
        if found is not None:
            return (found,)
    place = Straight(paths.start, paths.end, paths.rest, nodes)
    return sums(backward, place, len(paths), share, update)
