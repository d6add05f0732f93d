"""A plan as text: windows, cones, seams with their lines, arithmetic, memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from nucleoscope.engine.plan import Plan


def report(plan: Plan) -> str:
    """What the plan does for edits at its sites, one line a layer."""
    sites = np.arange(*plan.seen)
    if len(sites) == 0:
        return "Plan: the target sees none of these sites; every change is exactly zero."
    middle = sites[len(sites) // 2][None]
    rows = plan.rows(middle)
    lines = [
        f"Plan: {len(sites) * plan.letters:,} substitutions per sequence ({len(sites):,} sites)",
        "",
    ]
    lines += _layers(plan, rows)
    lines += ["", _ending(plan), *_seams(plan), "", _arithmetic(plan, sites)]
    batch = plan.sites_per_batch(sites)
    megabytes = [b / 1e6 for b in (plan.original_bytes(*plan.sites), plan.memory)]
    lines += [
        (
            f"Batches of {batch} sites ({batch * plan.letters} edits); originals "
            f"{megabytes[0]:,.1f} MB a sequence; budget {megabytes[1]:,.0f} MB."
        )
    ]
    return "\n".join(lines)


def _layers(plan: Plan, rows) -> list[str]:  # type: ignore[no-untyped-def]
    head = ("layer", "op", "length", "channels", "window", "cone")
    table = [head]
    for name in plan.order:
        axes, lo_hi = plan.axes(name), plan.cones[name]
        kept = rows.get(name)
        width = "+".join(map(str, kept.widths)) if kept else "-"
        kind = type(plan.graph.nodes[name].rule).__name__
        table.append(
            (name, kind, f"{axes.length:,}", str(axes.channels), width, f"[{lo_hi[0]}, {lo_hi[1]})")
        )
    widths = [max(len(r[i]) for r in table) for i in range(len(head))]
    return [
        "  ".join(
            c.ljust(w) if i < 2 else c.rjust(w)
            for i, (c, w) in enumerate(zip(r, widths, strict=True))
        )
        for r in table
    ]


def _ending(plan: Plan) -> str:
    if plan.local:
        return "Deltas all the way to the output: no part of the model is run again."
    whole = [n for n in plan.graph.nodes.values() if n.role == "tail"]
    return f"Behind the seam the model's own tail ({len(whole)} ops) runs for every edit; locality ends at"


def _seams(plan: Plan) -> list[str]:
    return [f"  {n.name}: {n.reason}\n    {n.source}" for n in plan.graph.seams]


def _arithmetic(plan: Plan, sites: np.ndarray[tuple[int], np.dtype[np.int64]]) -> str:
    local, tail, naive = plan.work(sites)
    saved = naive / max(local + tail, 1)
    return (
        f"Multiply-adds per edit: {_count(local)} in windows + {_count(tail)} in the tail, against "
        f"{_count(naive)} for a forward: {saved:.1f}x less."
    )


def _count(number: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.2f} {unit}"
    return f"{number:.0f}"
