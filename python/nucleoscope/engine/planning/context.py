"""How much sequence around a base decides its scores: what a tile of a longer sequence must hold."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import TYPE_CHECKING

import numpy as np
import torch

from nucleoscope.engine.windows import Mirror, Reach, Sampling, hull

if TYPE_CHECKING:
    from nucleoscope.engine.planning.plan import Plan


class NoTiles(ValueError):
    """The scores of a base depend on the whole sequence; the message says why."""


@dataclass(frozen=True)
class Context:
    """The scores of sites [a, b) are those of any longer sequence, if a tile holds [a - left, b + right)
    and begins at a multiple of `stride`."""

    left: int
    right: int
    stride: int  # shifted by so many bases, every layer shifts by whole positions


def context(plan: Plan) -> Context:
    """The context of a base, from the windows forward and the cones backward.

    Raises NoTiles where locality ends before the output, or the target does not read all of the output's
    positions alike, so that a tile cannot be read as the whole is.
    """
    if not plan.local or plan.target is None:
        reasons = "; ".join(f"{n.reason} ({n.source})" for n in plan.traced.seams)
        raise NoTiles(f"locality ends before the output: {reasons or 'func wants whole outputs'}")
    axes = plan.output_axes
    if axes.length == 1:
        raise NoTiles("the output has no positions: it depends on the whole sequence")
    if not plan.target.reader(axes, torch.empty(0)).even:
        raise NoTiles("target: it reads some of the output's positions only; name channels alone")
    stride = _stride(plan)
    site = plan.length(plan.graph.edited) // 2
    lo, hi = _cone(plan, site, stride)
    if hi - lo > 2 * plan.length(plan.graph.edited) + stride:
        raise NoTiles("an edit reaches places that lie further apart the longer the sequence is")
    return Context(max(site + stride - 1 - lo, 0), max(hi - site - 1, 0), stride)


def _reaches(plan: Plan, name: str) -> list[tuple[str, Reach]]:
    rule = plan.graph.nodes[name].rule
    assert rule is not None
    return [(source, rule.reach(index)) for index, source in enumerate(rule.inputs)]


def _stride(plan: Plan) -> int:
    """The least shift of the sequence that moves every layer by whole positions."""
    bases = {plan.graph.edited: Fraction(1)}  # per position of a layer
    flipped = False
    for name in plan.order:
        for source, reach in _reaches(plan, name):
            step = Fraction(getattr(reach, "stride", 1))
            if isinstance(reach, Sampling):
                step = Fraction(reach.step, reach.parts)
            bases[name] = bases[source] * step
            flipped |= isinstance(reach, Mirror)
    stride = lcm(*(each.numerator for each in bases.values()))
    if flipped and stride > 1:
        raise NoTiles(f"it flips the sequence and takes it by {stride} bases: tiles have no phase")
    return stride


def _cone(plan: Plan, site: int, wide: int) -> tuple[int, int]:
    """The bases that the outputs read which an edit in these sites can change; beyond the ends too."""
    out = plan.graph.resolve(plan.graph.output)
    cones = dict.fromkeys([plan.graph.edited, *plan.order], (0, 0))
    cones[out] = plan.rows(np.array([site]), wide)[out].hull
    for name in reversed(plan.order):
        if cones[name][0] < cones[name][1]:
            for source, reach in _reaches(plan, name):
                cones[source] = hull(cones[source], reach.cone(*cones[name]))
    return cones[plan.graph.edited]
