"""What a batch of edits comes to: bytes of its deltas and its tail, and multiply-adds in its windows."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from nucleoscope.engine.planning.batch_size import Load

if TYPE_CHECKING:
    from nucleoscope.engine.planning.plan import Plan
    from nucleoscope.engine.rows import Pieces, Rows


def site_load(plan: Plan, pieces: Pieces, many: int) -> Load:
    """What one site of a batch comes to: the most of some of them."""
    number, count = many * plan.bytes_per_number, len(pieces[0][0])
    layer, live, by_layer, work = 1, 1, 1, 1
    for at in np.linspace(0, count - 1, min(count, 5)).astype(int):
        rows = plan.spread.rows([(lo[at : at + 1], hi[at : at + 1]) for lo, hi in pieces])
        wide = {n: r.width * plan.axes(n).channels * number for n, r in rows.items()}
        made = [size for name, size in wide.items() if name in plan.stored]
        widest = max(made, default=0)
        layer, live = max(layer, widest), max(live, 3 * widest + sum(made) // 4)
        by_layer = max(by_layer, _peak(plan, wide))
        work = max(work, window_work(plan, rows) * many)
    tail_value = _widest_of_tail(plan) * plan.bytes_per_number
    return Load(layer, live, by_layer, work, tail_bytes(plan) * many, tail_value)


def window_work(plan: Plan, rows: dict[str, Rows]) -> int:
    """Multiply-adds of one edit with these windows."""
    total = 0
    for name in plan.order:
        rule = plan.rule(name)
        given = [rows[s].width for s in rule.inputs if s in rows]
        if name in rows and given:
            total += rule.work(max(given), rows[name].width)
    return total


def tail_bytes(plan: Plan) -> int:
    """Bytes that one edit's way through the tail holds at its peak, roughly; 0 where no edit goes through it."""
    if plan.linear:
        return 0
    laid = sum(prod(plan.axes(plan.graph.resolve(n)).shape) for n in plan.graph.frontier)
    return int((2 * laid + 3 * _widest_of_tail(plan)) * plan.bytes_per_number)


def _peak(plan: Plan, sizes: dict[str, int]) -> int:
    """The most that is held where every layer is made whole, and freed behind its last reader."""
    last = {source: name for name in plan.order for source in plan.rule(name).inputs}
    now, peak = 0, 0
    for name in plan.order:
        now += sizes.get(name, 0)
        peak = max(peak, now)
        now -= sum(sizes.get(s, 0) for s in {*plan.rule(name).inputs} if last[s] == name)
    return peak


def _widest_of_tail(plan: Plan) -> int:
    """Numbers of the largest value that the tail makes for one edit; 0 without a tail."""
    nodes, widest = plan.graph.nodes, 0
    for node in plan.graph.fx:
        if node.op == "call_function" and nodes[node.name].role == "tail":
            shape: Any = getattr(node.meta.get("val"), "shape", ())
            widest = max(widest, prod(int(s) for s in shape[1:] if isinstance(s, int)))
    return widest
