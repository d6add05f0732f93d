"""Seqlets above a panel: a bar over each, and its rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nucleoscope import Seqlets
from nucleoscope.plot.figure import drawn_at

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INKS = {True: "#222222", False: "#8a8a8a"}  # adds to the target, takes away
APART = 0.012  # of the panel's width: two ranks nearer than this would touch


def bracket(
    axes: Axes, seqlets: Seqlets, sequence: int, start: int, end: int, origin: int, step: int
) -> None:
    """Mark those of a sequence that reach into [start, end), which `axes` show.

    Ranks count from 1, as the names in a BED file do. Of ranks that would touch the better one shows.
    """
    axes.set_xlim(drawn_at(start, origin, step) - 0.5, drawn_at(end - 1, origin, step) + 0.5)
    across = axes.get_xaxis_transform()
    labelled: list[float] = []
    for row in range(len(seqlets)):
        first, last = max(int(seqlets.start[row]), start), min(int(seqlets.end[row]), end)
        if int(seqlets.sequence[row]) != sequence or first >= last:
            continue
        ends = [drawn_at(first, origin, step) - 0.4, drawn_at(last - 1, origin, step) + 0.4]
        ink = INKS[bool(seqlets.attribution[row] > 0)]
        axes.plot(
            ends, [1.03, 1.03], transform=across, color=ink, linewidth=2.2, solid_capstyle="butt",
            clip_on=False,
        )  # fmt: skip
        middle = sum(ends) / 2
        if all(abs(middle - other) > APART * (end - start) for other in labelled):
            axes.annotate(
                f"{row + 1}", (middle, 1.03), xycoords=across, xytext=(0, 2.5),
                textcoords="offset points", ha="center", fontsize=7, color=ink,
            )  # fmt: skip
            labelled.append(middle)
    if labelled and axes.get_title("left"):
        axes.set_title(axes.get_title("left"), loc="left", fontsize="medium", pad=17)
