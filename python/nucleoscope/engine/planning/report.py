"""A plan as text: windows, cones, seams with their lines, arithmetic, memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nucleoscope.engine import device

if TYPE_CHECKING:
    from nucleoscope.engine.planning.plan import Plan
    from nucleoscope.engine.rows import Rows
    from nucleoscope.engine.windows import Lattice


# A gain that the seam keeps below this is told, with the reason.
LITTLE = 4

# Shapes of a table's edits that are told one by one.
MOST_SHAPES = 6


def report(plan: Plan) -> str:
    """What the plan does for edits at its sites, one line a layer."""
    sites = np.arange(*plan.seen)
    if len(sites) == 0:
        return "Plan: the target sees none of these sites; every change is exactly zero."
    middle = sites[len(sites) // 2][None]
    rows = plan.rows(middle)
    lines = [*(_table(plan) if plan.shapes else [_all_sites(plan)]), ""]
    lines += _layers(plan, rows)
    lines += ["", _ending(plan), *_seams(plan), "", _arithmetic(plan, sites), _originals(plan)]
    batch = plan.sites_per_batch(sites)
    megabytes = [b / 1e6 for b in (plan.original_bytes(*plan.sites), plan.memory)]
    lines += [
        (
            f"On {device.name(plan.device)}: batches of {batch} sites ({batch * plan.letters} edits); originals "
            f"{megabytes[0]:,.1f} MB a sequence; budget {megabytes[1]:,.0f} MB."
        )
    ]
    return "\n".join([*lines, *_too_large(plan)])


def _too_large(plan: Plan) -> list[str]:
    """That one sequence takes more than there is, where it does."""
    start, end = plan.seen
    least = plan.forward_bytes() + min(
        (plan.original_bytes(*tile) for tile in plan.tiles(start, end)), default=0
    )
    if least <= plan.memory:
        return []
    return [
        (
            f"It may not fit: one sequence's original takes about {least / 1e9:,.3f} GB, the budget is "
            f"{plan.memory / 1e9:,.3f} GB. Raise memory, shorten X, or compute where there is more."
        )
    ]


def _all_sites(plan: Plan) -> str:
    start, end = plan.seen
    return (
        f"Plan: {(end - start) * plan.letters:,} substitutions per sequence ({end - start:,} sites)"
    )


def _table(plan: Plan) -> list[str]:
    """The edits of a table by the widths of what each covers, the commonest first."""
    edits, places = sum(s[2] for s in plan.shapes), sum(s[1] for s in plan.shapes)
    lines = [f"Plan: {edits:,} edits at {places:,} places; windows and arithmetic are of one base"]
    ranked = sorted(plan.shapes, key=lambda shape: -shape[2])
    for widths, count, many in ranked[:MOST_SHAPES]:
        bases = " + ".join(map(str, widths))
        lines.append(f"  {many:,} at {count:,} places of {bases} bases" if bases != "1" else
                     f"  {many:,} at {count:,} places of one base")  # fmt: skip
    rest = sum(shape[2] for shape in ranked[MOST_SHAPES:])
    return [*lines, f"  {rest:,} of {len(ranked) - MOST_SHAPES} further shapes"] if rest else lines


def _layers(plan: Plan, rows: dict[str, Rows]) -> list[str]:
    table = [("module", "op: rule", "length", "channels", "window", "cone")]
    for name in plan.order:
        node, axes, cone = plan.graph.nodes[name], plan.axes(name), plan.cones[name]
        width = "+".join(map(str, rows[name].widths)) if name in rows else "-"
        op = f"{_short(name)}: {type(node.rule).__name__}"
        shape = (f"{plan.length(name):,}", str(axes.channels), width)
        table.append((node.module or "-", op, *shape, _cone(plan.thinned.lattices[name], cone)))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if at < 2 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]


def _cone(made: Lattice, cone: tuple[int, int]) -> str:
    """The positions of a layer that are read."""
    lo, hi = made.span(*cone) if cone[0] < cone[1] else cone
    by = f" by {made.step}" if made.step > 1 and cone[1] - cone[0] > 1 else ""
    return f"[{lo}, {hi}){by}"


def _short(name: str) -> str:
    """An op's traced name without what aten adds to it."""
    return name.replace("_native_batch_norm_legit_no_training", "batch_norm")


def _ending(plan: Plan) -> str:
    if plan.local:
        return "Deltas all the way to the output: no part of the model is run again."
    whole = [n for n in plan.graph.nodes.values() if n.role == "tail"]
    if plan.linear:
        return (
            f"Behind the seam the tail ({len(whole)} ops) is taken to first order, for the sites that are not "
            "rerun; locality ends at"
        )
    return f"Behind the seam the model's own tail ({len(whole)} ops) runs for every edit; locality ends at"


def _seams(plan: Plan) -> list[str]:
    return [f"  {n.name}: {n.reason}\n    {n.source}" for n in plan.graph.seams]


def _arithmetic(plan: Plan, sites: np.ndarray[tuple[int], np.dtype[np.int64]]) -> str:
    local, tail, naive = plan.work(sites)
    tail = 0 if plan.linear else tail
    saved = naive / max(local + tail, 1)
    said = (
        f"Multiply-adds per edit: {_count(local)} in windows + {_count(tail)} in the tail, against "
        f"{_count(naive)} for a forward: {saved:.1f}x less."
    )
    if tail > naive / LITTLE:
        said += (
            f"\n{tail / naive:.0%} of a forward lies behind the seam and is done again for every edit: "
            f"at most {naive / tail:.1f}x can be gained on the plain loop."
        )
    return said


def _originals(plan: Plan) -> str:
    """How much of the unedited forward is made, and what makes it whole."""
    made = plan.partial(*plan.sites)
    said = f"Of the original {made.share:.0%} of all numbers are made"
    if not plan.local:
        return f"{said}: the tail reads whole layers."
    halts = [f"{name} ({plan.traced.nodes[name].source})" for name in reversed(made.halts[-3:])]
    return f"{said}; whole layers before {', '.join(halts)}." if halts else f"{said}."


def _count(number: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.2f} {unit}"
    return f"{number:.0f}"
